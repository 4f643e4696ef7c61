#!/bin/bash
# One search on the two GPUs of a machine: the batch is that of a step, each takes its half.
set -euo pipefail
torchrun --standalone --nproc-per-node 2 --no-python \
    dnas_search --method danas --space nb201 --data cifar10 --preset paper --out runs/two
