#!/usr/bin/env bash
# Runs every fuzzer for an equal share of so many seconds: fuzz/run.sh SECONDS PYTHON MANIPLE. The first finding is the
# end: its input is left in fuzz/artifacts, and CONTRIBUTING.md tells what to do with it.
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1 python=$2 maniple=$3
targets=(file sealed rows wire)
share=$((seconds / (${#targets[@]} + 1)))
tools=$PWD/../target/tools
built=$PWD/../target/fuzz

if ! command -v g++ > /dev/null; then
    echo "fuzz: g++ is missing; libFuzzer is written in C++. Install it, with 'apt install g++' for example" >&2
    exit 1
fi
cargo install --quiet --locked --root "$tools" --version 0.13.2 cargo-fuzz
export PATH=$tools/bin:$PATH

# No sanitizer: there is no unsafe code to watch, and so a stable compiler will do.
cargo fuzz build --sanitizer none --target-dir "$built"
for target in "${targets[@]}"; do
    # What is new goes where git does not see it.
    mkdir -p "$built/corpus/$target"
    folders=("$built/corpus/$target" "corpus/$target" ../tests/golden/checkpoint/*/)
    [ ! -d "findings/$target" ] || folders+=("findings/$target")
    echo "fuzz: $target, $share s"
    log=$built/$target.log
    if ! cargo fuzz run --sanitizer none --target-dir "$built" "$target" "${folders[@]}" -- -dict=checkpoint.dict \
        -max_total_time="$share" -max_len=32768 -rss_limit_mb=512 -timeout=20 -print_final_stats=1 > "$log" 2>&1; then
        tail -n 60 "$log" >&2
        exit 1
    fi
    grep -wE 'DONE|stat::peak_rss_mb' "$log"
done
echo "fuzz: python, $share s"
mkdir -p artifacts/python
"$python" python/read_damaged.py --seconds "$share" --maniple "$maniple" --keep artifacts/python/finding.checkpoint
