#!/usr/bin/env bash
# CPU seconds of the binary of the profile `dist`, Debian's docker-registry and nginx for the same work, in turn, over loopback.
# Needs docker-registry, nginx, openssl, curl and wrk, and `cargo build --profile dist`. Usage: tests/benches/compare.sh [ROUNDS]
# shellcheck disable=SC2154 # common.sh assigns ports and process ids by name.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
# shellcheck source=tests/benches/common.sh
source tests/benches/common.sh
start_registry ours target/dist/registry
start_registry theirs docker-registry
certificate
start_nginx nginx
ours_url=http://127.0.0.1:$ours_port theirs_url=http://127.0.0.1:$theirs_port nginx_url=http://127.0.0.1:$nginx_port
wait_for "$ours_url" "$theirs_url" "$nginx_url"

head -c 1073741824 /dev/urandom >"$work/large"
digest=sha256:$(sha256sum "$work/large" | cut -d' ' -f1)
printf '{}' >"$work/config"
config=sha256:$(sha256sum "$work/config" | cut -d' ' -f1)
head -c 4096 /dev/urandom >"$work/small"
small=sha256:$(sha256sum "$work/small" | cut -d' ' -f1)
cat >"$work/manifest" <<M
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$config","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"$digest","size":1073741824}]}
M
mkdir -p "$work/nginx/www/v2/bench/blobs"
cp "$work/large" "$work/nginx/www/v2/bench/blobs/$digest"
cp "$work/small" "$work/nginx/www/v2/bench/blobs/$small"
declare -A name=([theirs]=docker-registry [nginx]=nginx)
measure() { # what, unit, divisor, function, whom beside ours
    local round side before pid_name url_name sides=(ours "${@:5}")
    for side in "${sides[@]}"; do : >"$work/$side.$1"; done
    for ((round = 0; round < rounds; round++)); do
        for side in "${sides[@]}"; do
            pid_name=${side}_pid url_name=${side}_url
            before=$(cpu "${!pid_name}")
            "$4" "${!url_name}" >"$work/count"
            echo "$(cpu "${!pid_name}") $before $3 $(cat "$work/count")" | awk '{ print ($1 - $2) / 1e9 / ($3 * ($4 ? $4 : 1)) }' >>"$work/$side.$1"
        done
    done
    median() { sort -g "$work/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
    for side in "${@:5}"; do
        # The median of the ratios of single rounds.
        paste "$work/ours.$1" "$work/$side.$1" | awk '{ print $1 / $2 }' >"$work/ratios"
        echo "$1 $2 $(median "ours.$1") ${name[$side]} $(median "$side.$1") $(median ratios)" |
            awk '{ printf "%-16s %-12s ours %.6f  %s %.6f  ratio %.2f\n", $1, $2, $3, $4, $5, $6 }'
    done
}
do_push() { push "$1" "$work/large" "$digest"; }
do_pull() { curl -s -o /dev/null "$1/v2/bench/blobs/$digest"; }
requests() { # url, path: how many requests wrk made
    wrk -t1 -c4 -d2s -H 'Accept: application/vnd.oci.image.manifest.v1+json' "$1$2" | awk '/requests in/ { print $1 }'
}
do_manifest() { requests "$1" /v2/bench/manifests/v1; }
do_tags() { requests "$1" /v2/bench/tags/list; }
do_small() { requests "$1" "/v2/bench/blobs/$small"; }

measure push s/GiB 1 do_push theirs
for url in "$ours_url" "$theirs_url"; do
    push "$url" "$work/config" "$config"
    push "$url" "$work/small" "$small"
    test "$(curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
        --data-binary "@$work/manifest" "$url/v2/bench/manifests/v1")" = 201
done
measure pull s/GiB 1 do_pull theirs nginx
measure manifest s/request 1 do_manifest theirs
measure tags s/request 1 do_tags theirs
measure small-blob s/request 1 do_small theirs nginx
for side in ours theirs; do
    pid_name=${side}_pid
    awk -v side=$side '/VmHWM/ { print "peak memory of", side ":", $2 / 1024, "MiB" }' "/proc/${!pid_name}/status"
done
