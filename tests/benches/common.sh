# shellcheck shell=bash disable=SC2034
# What the scripts beside this one share, for `source`: a directory in $work and processes in $pids that end with the script.
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# What a process and its children have spent, in nanoseconds: the scheduler's own count of all threads.
# utime and stime are sampled and wrong for short bursts.
cpu() { # pid
    for pid in $1 $(pgrep -P "$1"); do cat /proc/"$pid"/task/*/schedstat; done | awk '{ s += $1 } END { printf "%.0f", s }'
}

# A certificate for localhost, in $work.
certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=localhost 2>/dev/null
}

# Starts a registry over $work/NAME, and sets NAME_pid and NAME_port.
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

# Starts an nginx with the files of $work/NAME/www, and sets NAME_pid and NAME_port.
start_nginx() { # name, what follows the port in `listen`, or nothing
    local port dir=$work/$1
    port=$(free_port)
    mkdir -p "$dir/www"
    cat >"$dir/nginx.conf" <<C
user root; worker_processes ${NGINX_WORKERS:-auto}; daemon off; pid $dir/pid; error_log $dir/errors;
events {}
http {
    access_log off; sendfile on; keepalive_requests 100000000;
    client_body_temp_path $dir/1; proxy_temp_path $dir/2; fastcgi_temp_path $dir/3; uwsgi_temp_path $dir/4; scgi_temp_path $dir/5;
    ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    server { listen 127.0.0.1:$port ${2:-}; root $dir/www; }
}
C
    nginx -c "$dir/nginx.conf" -p "$dir" 2>/dev/null &
    pids+=($!)
    # Its workers are counted with it.
    until grep -q . "/proc/$!/task/$!/children"; do sleep 0.1; done
    eval "$1_pid=$! $1_port=$port"
}

# Waits until something answers at each of these addresses.
wait_for() { # url...
    local url
    for url in "$@"; do until curl -sk -o /dev/null "$url/"; do sleep 0.1; done; done
}

# Pushes a file as a streaming client does: POST, one PATCH, PUT.
push() { # url, file, digest
    local location
    location=$(curl -sk -i -X POST "$1/v2/bench/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')
    location=$(curl -sk -i -X PATCH -H 'Content-Type: application/octet-stream' -H 'Expect:' -T "$2" "$location" |
        tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')
    case $location in *\?*) location="$location&digest=$3" ;; *) location="$location?digest=$3" ;; esac
    test "$(curl -sk -o /dev/null -w '%{http_code}' -X PUT "$location")" = 201
}
