#!/bin/bash
# Runs a command with servers: with-servers.sh NAME... -- COMMAND..., where each NAME is a script of this folder.
# The tests find the servers by the environment. They are stopped whatever becomes of the command.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
names=()
while [ "${1:?usage: $0 NAME... -- COMMAND...}" != -- ]; do
    names+=("$1")
    shift
done
shift

dir=$(mktemp -d)
stop() {
    for name in "${names[@]}"; do
        "$here/stop.sh" "$dir/$name"
    done
    rm -rf "$dir"
}
trap stop EXIT
export SAMPAN_TEST_SERVERS="${names[*]}"
trap 'exit 130' INT
trap 'exit 143' TERM

for name in "${names[@]}"; do
    # A line `NAME='section'`. It passes through a variable because a failure inside `eval` would go unnoticed.
    server=$("$here/$name.sh" "$dir/$name")
    eval "export $server"
done
"$@"
