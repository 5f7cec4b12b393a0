#!/usr/bin/env bash
# CPU of the release binary, nginx and Debian's docker-registry for pulls over HTTP/2 with TLS, in turn, on loopback.
# Needs docker-registry, nginx, openssl, curl and h2load (nghttp2-client), and `cargo build --release`.
# Usage: tests/benches/http2.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5} binary=${REGISTRY:-target/release/registry}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=localhost 2>/dev/null
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start_registry() { # name, command
    local port
    port=$(free_port)
    cat >"$work/$1.yml" <<C
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/$1}}
http: {addr: '127.0.0.1:$port', secret: for-measuring, tls: {certificate: $work/cert.pem, key: $work/key.pem}}
C
    "$2" serve "$work/$1.yml" >/dev/null 2>"$work/$1.log" &
    pids+=($!)
    eval "$1_pid=$! $1_url=https://localhost:$port"
}
start_registry ours "$binary"
start_registry theirs docker-registry
port=$(free_port)
mkdir -p "$work/www"
cat >"$work/nginx.conf" <<C
user root; worker_processes auto; daemon off; pid $work/pid; error_log $work/errors;
events {}
http {
    access_log off; sendfile on; keepalive_requests 100000000;
    server { listen 127.0.0.1:$port ssl http2; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; root $work/www; }
}
C
nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &
pids+=($!)
nginx_pid=$! nginx_url=https://localhost:$port
for url in "$ours_url" "$theirs_url" "$nginx_url"; do until curl -sk -o /dev/null "$url/"; do :; done; done

push() { # url, file, digest
    local location
    location=$(curl -sk -i -X POST "$1/v2/bench/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')
    case $location in *\?*) location="$location&digest=$3" ;; *) location="$location?digest=$3" ;; esac
    test "$(curl -sk -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/octet-stream' -T "$2" "$location")" = 201
}
# The scheduler's own count, in nanoseconds, of a process and its workers.
cpu() { for pid in $1 $(pgrep -P "$1"); do cat /proc/"$pid"/task/*/schedstat; done | awk '{ s += $1 } END { printf "%.0f", s }'; }
spent() { # pid, url, requests, at once on each connection
    local before
    before=$(cpu "$1")
    h2load -n "$3" -c 4 -m "$4" "$2" >"$work/h2load"
    grep -q "^requests: .* $3 succeeded, 0 failed" "$work/h2load"
    echo "$(cpu "$1") $before" | awk '{ printf "%.0f", $1 - $2 }'
}
compare() { # size in bytes, requests, requests of docker-registry, at once, unit, nanoseconds of a request to the unit
    local digest round side pid url requests
    head -c "$1" /dev/urandom >"$work/www/blob"
    digest=sha256:$(sha256sum "$work/www/blob" | cut -d' ' -f1)
    push "$ours_url" "$work/www/blob" "$digest"
    push "$theirs_url" "$work/www/blob" "$digest"
    : >"$work/rounds"
    for ((round = 0; round < rounds; round++)); do
        for side in ours nginx theirs; do
            pid=${side}_pid url=${side}_url requests=$2
            if [ "$side" = theirs ]; then requests=$3; fi
            if [ "$side" = nginx ]; then url="$nginx_url/blob"; else url="${!url}/v2/bench/blobs/$digest"; fi
            echo "$(spent "${!pid}" "$url" "$requests" "$4") $requests $6" | awk '{ printf "%.4g ", $1 / $2 * $3 }' >>"$work/rounds"
        done
        echo >>"$work/rounds"
    done
    echo "$1 bytes, $5:"
    awk '{ printf "  ours %s  nginx %s (%.2f)  docker-registry %s (%.2f)\n", $1, $2, $1 / $2, $3, $1 / $3 }' "$work/rounds"
}
compare 67108864 32 32 1 'CPU s/GiB' 16e-9
compare 4096 20000 2000 10 'CPU µs/request' 1e-3
