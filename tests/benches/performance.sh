#!/usr/bin/env bash
# The figures of docs/performance.md: `registry bench` of the binary of the profile `dist` against Debian's docker-registry and nginx,
# without and with TLS, on loopback. Needs docker-registry, nginx, openssl, and `cargo build --profile dist`.
# Usage: [NGINX_WORKERS=1] tests/benches/performance.sh [ROUNDS] [DURATION] [TABLE...]; tables are peer, nginx, peer-tls and nginx-tls.
# shellcheck disable=SC2154 # common.sh assigns ports and process ids by name.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-7} duration=${2:-1s} binary=${REGISTRY:-target/dist/registry}
tables=("${@:3}")
# shellcheck source=tests/benches/common.sh
source tests/benches/common.sh
certificate
start_registry ours "$binary"
start_registry theirs docker-registry
start_registry ours_tls "$binary" tls
start_registry theirs_tls docker-registry tls
start_nginx nginx
start_nginx nginx_tls ssl
wait_for "http://localhost:$ours_port" "http://localhost:$theirs_port" "http://localhost:$nginx_port" \
    "https://localhost:$ours_tls_port" "https://localhost:$theirs_tls_port" "https://localhost:$nginx_tls_port"

compare() { # table, title, scheme, name of ours, name of theirs, more options
    local table=$1 title=$2 scheme=$3 a_pid=${4}_pid a_port=${4}_port b_pid=${5}_pid b_port=${5}_port
    shift 5
    if [ "${#tables[@]}" != 0 ] && [[ " ${tables[*]} " != *" $table "* ]]; then return; fi
    echo "## $title"
    "$binary" bench "$scheme://localhost:${!a_port}" --pid "${!a_pid}" --vs "$scheme://localhost:${!b_port}" --vs-pid "${!b_pid}" \
        --rounds "$rounds" --duration "$duration" --clients 4 "$@"
}
compare peer 'A: ours, B: docker-registry' http ours theirs \
    --work pull-large,pull-small,manifest-get-tag,tags-list,push-streamed,push-small
compare nginx 'A: ours, B: nginx' http ours nginx --vs-files "$work/nginx/www" --work pull-large,pull-small
compare peer-tls 'TLS; A: ours, B: docker-registry' https ours_tls theirs_tls --insecure --work pull-large
compare nginx-tls 'TLS; A: ours, B: nginx' https ours_tls nginx_tls --vs-files "$work/nginx_tls/www" --insecure --work pull-large
