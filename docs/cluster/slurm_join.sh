#!/bin/bash
# Further workers for a study that runs: without settings a worker reads them in the folder.
# `STUDY=/shared/study sbatch --array=1-4 slurm_join.sh`; failed runs are made again
#SBATCH --job-name=study-more
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@60

set -euo pipefail
exec srun dnas_study --worker --device cuda --runs-per-device auto --retry --out "$STUDY"
