#!/bin/bash
# A study by an array of jobs: each is a worker, all share one folder. `sbatch slurm_array.sh`
# Jobs start when there is room and end when their time is up; what one leaves, another takes over.
#SBATCH --job-name=study
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@60
#SBATCH --output=%x-%a.log
# TERM a minute before the end: the worker gives back its run at once, nobody waits for its silence

set -euo pipefail
STUDY="${STUDY:-$PWD/runs/study}"   # on a file system that all nodes see

exec srun dnas_study --worker --workers 1 --device cuda --patience 120 --out "$STUDY" \
    --methods darts,danas,random --seeds 0,1,2,3,4 --space nb201 --data cifar10 --epochs 30
