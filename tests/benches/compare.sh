#!/usr/bin/env bash
# CPU seconds of the release binary and of Debian's docker-registry for the same work, in turn, over loopback.
# Needs docker-registry, curl and wrk, and `cargo build --release`. Usage: tests/benches/compare.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
# shellcheck source=tests/benches/common.sh
source tests/benches/common.sh
start_registry ours target/release/registry
start_registry theirs docker-registry
ours_url=http://127.0.0.1:$ours_port theirs_url=http://127.0.0.1:$theirs_port
wait_for "$ours_url" "$theirs_url"

head -c 1073741824 /dev/urandom >"$work/large"
digest=sha256:$(sha256sum "$work/large" | cut -d' ' -f1)
printf '{}' >"$work/config"
config=sha256:$(sha256sum "$work/config" | cut -d' ' -f1)
cat >"$work/manifest" <<M
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$config","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"$digest","size":1073741824}]}
M
measure() { # what, unit, divisor, function
    local round side before pid_name url_name
    for side in ours theirs; do : >"$work/$side.$1"; done
    for ((round = 0; round < rounds; round++)); do
        for side in ours theirs; do
            pid_name=${side}_pid url_name=${side}_url
            before=$(cpu "${!pid_name}")
            "$4" "${!url_name}" >"$work/count"
            echo "$(cpu "${!pid_name}") $before $3 $(cat "$work/count")" | awk '{ print ($1 - $2) / 1e9 / ($3 * ($4 ? $4 : 1)) }' >>"$work/$side.$1"
        done
    done
    median() { sort -g "$work/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
    echo "$1 $2 $(median "ours.$1") $(median "theirs.$1")" |
        awk '{ printf "%-16s %-12s ours %.6f  docker-registry %.6f  ratio %.2f\n", $1, $2, $3, $4, $3 / $4 }'
}
do_push() { push "$1" "$work/large" "$digest"; }
do_pull() { curl -s -o /dev/null "$1/v2/bench/blobs/$digest"; }
requests() { # url, path: how many requests wrk made
    wrk -t1 -c4 -d2s -H 'Accept: application/vnd.oci.image.manifest.v1+json' "$1$2" | awk '/requests in/ { print $1 }'
}
do_manifest() { requests "$1" /v2/bench/manifests/v1; }
do_tags() { requests "$1" /v2/bench/tags/list; }
do_small() { requests "$1" "/v2/bench/blobs/$config"; }

measure push s/GiB 1 do_push
for url in "$ours_url" "$theirs_url"; do
    push "$url" "$work/config" "$config"
    test "$(curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
        --data-binary "@$work/manifest" "$url/v2/bench/manifests/v1")" = 201
done
measure pull s/GiB 1 do_pull
measure manifest s/request 1 do_manifest
measure tags s/request 1 do_tags
measure small-blob s/request 1 do_small
for side in ours theirs; do
    pid_name=${side}_pid
    awk -v side=$side '/VmHWM/ { print "peak memory of", side ":", $2 / 1024, "MiB" }' "/proc/${!pid_name}/status"
done
