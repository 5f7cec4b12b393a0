#!/bin/sh
# Ends what a script of this folder started in DIRECTORY, and removes the directory.
set -eu
dir=${1:?usage: $0 DIRECTORY}
if [ -f "$dir/pids" ]; then
    # The last one first: what was started later needs what was started earlier.
    for pid in $(sed '1!G;h;$!d' "$dir/pids"); do
        kill "$pid" 2>/dev/null || continue
        tries=50
        while kill -0 "$pid" 2>/dev/null && [ "$tries" -gt 0 ]; do
            tries=$((tries - 1))
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    done
fi
rm -rf "$dir"
