#!/usr/bin/env bash
# Says by name what the tests could not check on this machine: each such test leaves a line in target/skipped.
file="$(dirname "$0")/../target/skipped"
if [ -s "$file" ]; then
    echo "NOT CHECKED on this machine:"
    sort -u "$file" | sed 's/^/  /'
else
    echo "Nothing was skipped."
fi
