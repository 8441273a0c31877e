#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# sbatch slurm.sh; then: tcsim merge parts/*.json
#SBATCH --job-name=tcsim
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --requeue
#SBATCH --output=tcsim-%a.log
set -eu
: "${WORK:=fuzz --kind insns --n 1000000 --seed 1 --target correct}"
mkdir -p parts
part=$SLURM_ARRAY_TASK_ID
# shellcheck disable=SC2086 # it is words
tcsim $WORK --shard "$part/$SLURM_ARRAY_TASK_COUNT" >"parts/$part.tmp"
mv "parts/$part.tmp" "parts/$part.json" # there as a whole or not at all
