#!/usr/bin/env bash
# The factor example from nothing to a grown checkpoint, in a temporary copy of this folder: demo.sh BINARY VENV
set -euo pipefail

binary=$1 venv=$2
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here"/*.py "$here"/sp500_daily_sample.csv "$folder"
cd "$folder"
mkdir bin
ln -s "$binary" bin/maniple
export VIRTUAL_ENV=$venv PATH=$folder/bin:$venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

say() { printf '\n%s\n' "$*"; }
run() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}

say "Five years of daily bars of 20 US stocks. One task for each bar: the arguments of alphas.factors."
run "python tasks.py > tasks.csv"
run "head -3 tasks.csv"

say "Compute eight factors for each, on all cores. Every row is kept in a checkpoint."
run "maniple run alphas:factors --tasks tasks.csv --checkpoint factors.checkpoint"
run "python show.py factors.checkpoint"

say "The same command again: every row is known, nothing is computed."
run "maniple run alphas:factors --tasks tasks.csv --checkpoint factors.checkpoint"

say "A longer list in another order: every day with every stock, also before it was listed."
run "python tasks.py --grid > grid.csv"
run "maniple run alphas:factors --tasks grid.csv --checkpoint factors.checkpoint"

say "Only what was missing was computed. What the file holds now:"
run "maniple checkpoint info factors.checkpoint"
say "The same on several workers and machines: examples/factors/README.md"
