# shellcheck shell=bash disable=SC2034
# What the scripts in this folder share. To be sourced.
#
# A script starts one server on loopback ports that are free, waits until it answers, and prints one line for the
# environment of the tests: NAME='section of the configuration file, in JSON'. Everything of the server, its process ids
# included, is in the directory that is its one argument; stop.sh ends it.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: $0 DIRECTORY}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# A script that fails says where, and what its programs have printed.
trap 'echo "$0: line $LINENO failed; the ends of all outputs follow" >&2; tail -n 20 "$dir"/*.out >&2' ERR

# A port without a listener.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Runs a command in the background, with its output in a file, and notes its process id.
start() {
    name=$1
    shift
    "$@" >"$dir/$name.out" 2>&1 &
    echo $! >>"$dir/pids"
}

# Runs a command whose output is of interest only when it fails.
quietly() {
    "$@" >>"$dir/setup.out" 2>&1
}

# Waits until a command succeeds, a minute at most. What its last try printed is in a file.
await() {
    tries=300
    until "$@" >"$dir/await.out" 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            echo "not ready after a minute: $*" >&2
            return 1
        fi
        sleep 0.2
    done
}

answers() {
    curl -s -o /dev/null -m 5 "$1"
}
