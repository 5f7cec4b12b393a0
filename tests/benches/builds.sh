#!/usr/bin/env bash
# Two builds of the registry in turn, on the work of docs/performance.md, to see what a change costs: A is the newer one.
# Needs openssl. Usage: tests/benches/builds.sh NEWER OLDER [ROUNDS] [DURATION]
# shellcheck disable=SC2154 # common.sh assigns ports and process ids by name.
set -euo pipefail
usage="usage: $0 NEWER OLDER [ROUNDS] [DURATION]"
newer=$(realpath "${1:?$usage}") older=$(realpath "${2:?$usage}") rounds=${3:-7} duration=${4:-1s}
cd "$(dirname "$0")/../.."
# shellcheck source=tests/benches/common.sh
source tests/benches/common.sh
certificate
start_registry newer "$newer"
start_registry older "$older"
start_registry newer_tls "$newer" tls
start_registry older_tls "$older" tls
wait_for "http://localhost:$newer_port" "http://localhost:$older_port" "https://localhost:$newer_tls_port" "https://localhost:$older_tls_port"

compare() { # title, scheme, name of A, name of B, more options
    local title=$1 scheme=$2 a_pid=${3}_pid a_port=${3}_port b_pid=${4}_pid b_port=${4}_port
    shift 4
    echo "## $title"
    "$newer" bench "$scheme://localhost:${!a_port}" --pid "${!a_pid}" --vs "$scheme://localhost:${!b_port}" --vs-pid "${!b_pid}" \
        --rounds "$rounds" --duration "$duration" --clients 4 "$@"
}
compare 'plain HTTP' http newer older \
    --work pull-large,pull-small,pull-image,manifest-get-tag,manifest-head-digest,tags-list,catalog,push-streamed,push-small,push-image
compare TLS https newer_tls older_tls --insecure --work pull-large,pull-small
