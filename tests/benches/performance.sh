#!/usr/bin/env bash
# The figures of docs/performance.md: `registry bench` of the release binary against Debian's docker-registry and nginx,
# without and with TLS, on loopback. Needs docker-registry, nginx, openssl, and `cargo build --release`.
# Usage: [NGINX_WORKERS=1] tests/benches/performance.sh [ROUNDS] [DURATION] [TABLE...]; tables are peer, nginx, peer-tls and nginx-tls.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5} duration=${2:-3s} binary=${REGISTRY:-target/release/registry} workers=${NGINX_WORKERS:-auto}
tables=("${@:3}")
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=localhost 2>/dev/null
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start_registry() { # name, command, tls or nothing
    local port tls=''
    port=$(free_port)
    if [ "${3:-}" = tls ]; then tls=", tls: {certificate: $work/cert.pem, key: $work/key.pem}"; fi
    cat >"$work/$1.yml" <<C
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/$1}, delete: {enabled: true}}
http: {addr: '127.0.0.1:$port', secret: for-measuring$tls}
C
    "$2" serve "$work/$1.yml" >/dev/null 2>"$work/$1.log" &
    pids+=($!)
    eval "$1_pid=$! $1_port=$port"
}
start_nginx() { # name, tls or nothing
    local port listen dir=$work/$1
    port=$(free_port)
    mkdir -p "$dir/www"
    listen="listen 127.0.0.1:$port;"
    if [ "${2:-}" = tls ]; then
        listen="listen 127.0.0.1:$port ssl; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;"
    fi
    cat >"$dir/nginx.conf" <<C
user root; worker_processes $workers; daemon off; pid $dir/pid; error_log $dir/errors;
events {}
http {
    access_log off; sendfile on; keepalive_requests 100000000;
    client_body_temp_path $dir/1; proxy_temp_path $dir/2; fastcgi_temp_path $dir/3; uwsgi_temp_path $dir/4; scgi_temp_path $dir/5;
    server { $listen root $dir/www; }
}
C
    nginx -c "$dir/nginx.conf" -p "$dir" 2>/dev/null &
    pids+=($!)
    # Its workers are counted with it.
    until grep -q . "/proc/$!/task/$!/children"; do sleep 0.1; done
    eval "$1_pid=$! $1_port=$port"
}
start_registry ours "$binary"
start_registry theirs docker-registry
start_registry ours_tls "$binary" tls
start_registry theirs_tls docker-registry tls
start_nginx nginx
start_nginx nginx_tls tls
for port in "$ours_port" "$theirs_port" "$nginx_port"; do until curl -s -o /dev/null "http://localhost:$port/"; do :; done; done
for port in "$ours_tls_port" "$theirs_tls_port" "$nginx_tls_port"; do until curl -sk -o /dev/null "https://localhost:$port/"; do :; done; done

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
