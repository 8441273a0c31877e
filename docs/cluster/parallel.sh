#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# parallel.sh [machines]: eight parts on this machine, or on those of a list that share this folder.
set -eu
: "${WORK:=fuzz --kind insns --n 1000000 --seed 1 --target correct}"
: "${PARTS:=8}"
mkdir -p parts
seq "$PARTS" | parallel --joblog parts/log --resume-failed ${1:+--sshloginfile "$1" --workdir "$PWD"} \
	"tcsim $WORK --shard {}/$PARTS >parts/{}.tmp && mv parts/{}.tmp parts/{}.json"
tcsim merge parts/*.json
