#!/bin/bash
# On the head of the cluster: `ray attach ray_cluster.yaml`, then this. Every run asks for one GPU.
set -euo pipefail
dnas_study --backend ray --address auto --workers 8 --device cuda --out /shared/study \
    --methods darts,danas,random --seeds 0,1,2,3,4 --space nb201 --data cifar10 --epochs 30
