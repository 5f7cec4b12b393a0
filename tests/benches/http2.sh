#!/usr/bin/env bash
# CPU of the binary of the profile `dist`, nginx and Debian's docker-registry for pulls over HTTP/2 with TLS, in turn, on loopback.
# Needs docker-registry, nginx, openssl, curl and h2load (nghttp2-client), and `cargo build --profile dist`.
# Usage: tests/benches/http2.sh [ROUNDS]
# shellcheck disable=SC2154 # common.sh assigns ports and process ids by name.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5} binary=${REGISTRY:-target/dist/registry}
# shellcheck source=tests/benches/common.sh
source tests/benches/common.sh
certificate
start_registry ours "$binary" tls
start_registry theirs docker-registry tls
start_nginx nginx 'ssl http2'
wait_for "https://localhost:$ours_port" "https://localhost:$theirs_port" "https://localhost:$nginx_port"

spent() { # pid, url, requests, at once on each connection
    local before
    before=$(cpu "$1")
    h2load -n "$3" -c 4 -m "$4" "$2" >"$work/h2load"
    grep -q "^requests: .* $3 succeeded, 0 failed" "$work/h2load"
    echo "$(cpu "$1") $before" | awk '{ printf "%.0f", $1 - $2 }'
}
compare() { # size in bytes, requests, requests of docker-registry, at once, unit, nanoseconds of a request to the unit
    local digest round side pid port path requests
    head -c "$1" /dev/urandom >"$work/nginx/www/blob"
    digest=sha256:$(sha256sum "$work/nginx/www/blob" | cut -d' ' -f1)
    push "https://localhost:$ours_port" "$work/nginx/www/blob" "$digest"
    push "https://localhost:$theirs_port" "$work/nginx/www/blob" "$digest"
    : >"$work/rounds"
    for ((round = 0; round < rounds; round++)); do
        for side in ours nginx theirs; do
            pid=${side}_pid port=${side}_port path=/v2/bench/blobs/$digest requests=$2
            if [ "$side" = nginx ]; then path=/blob; fi
            if [ "$side" = theirs ]; then requests=$3; fi
            echo "$(spent "${!pid}" "https://localhost:${!port}$path" "$requests" "$4") $requests $6" | awk '{ printf "%.4g ", $1 / $2 * $3 }' >>"$work/rounds"
        done
        echo >>"$work/rounds"
    done
    echo "$1 bytes, $5:"
    awk '{ printf "  ours %s  nginx %s (%.2f)  docker-registry %s (%.2f)\n", $1, $2, $1 / $2, $3, $1 / $3 }' "$work/rounds"
}
compare 67108864 32 32 1 'CPU s/GiB' 16e-9
compare 4096 20000 2000 10 'CPU µs/request' 1e-3
