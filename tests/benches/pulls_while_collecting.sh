#!/usr/bin/env bash
# How much pulls suffer from a collection: the 99th percentile of their latency, without one and during one, in turn.
# Half of the requests are for a manifest by its tag, half for a small blob, each of another repository, by four clients of `wrk` who take
# all they can get; with PAUSE_MS by 16 who pause for so many milliseconds between two requests, as on a server that has a life.
# Every collection marks the whole store; it deletes nothing, since all is younger than a day.
# Needs wrk, curl and `cargo build --profile dist`.
# Usage: tests/benches/pulls_while_collecting.sh STORE [ROUNDS] [SECONDS] [PAUSE_MS], where STORE is a directory made by `cargo run --example generate-store`,
# large enough that a collection takes longer than the seconds: the usual 190,000 files are for four seconds.
set -euo pipefail
store=$(realpath "$1") rounds=${2:-7} seconds=${3:-4} pause_ms=${4:-0} binary=${REGISTRY:-$(dirname "$0")/../../target/dist/registry}
# shellcheck source=tests/benches/common.sh
source "$(dirname "$0")/common.sh"
port=$(free_port) debug=$(free_port)
cat >"$work/config.yml" <<C
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $store}, delete: {enabled: true}}
gc: {grace: 24h}
http: {addr: '127.0.0.1:$port', secret: for-measuring, debug: {addr: '127.0.0.1:$debug'}}
C
"$binary" serve "$work/config.yml" >/dev/null 2>"$work/log" &
server=$!
pids+=("$server")
until curl -sf -o /dev/null "http://127.0.0.1:$port/v2/"; do kill -0 "$server"; sleep 0.1; done

cd "$store/docker/registry/v2/repositories"
for repository in $(find . -mindepth 2 -maxdepth 2 -type d | sort | head -500); do
    blob=$(find "$repository/_layers/sha256" -mindepth 1 -maxdepth 1 -printf '%f' -quit)
    printf '/v2/%s/manifests/v1\n/v2/%s/blobs/sha256:%s\n' "${repository#./}" "${repository#./}" "$blob"
done >"$work/paths"
cat >"$work/pulls.lua" <<L
local paths, next = {}, 0
function init() for path in io.lines("$work/paths") do paths[#paths + 1] = path end end
function delay() return $pause_ms end
function request() next = next % #paths + 1; return wrk.format("GET", paths[next]) end
L
clients=$([ "$pause_ms" = 0 ] && echo 4 || echo 16)
state() { curl -sf "http://127.0.0.1:$debug/debug/gc"; }
is_running() { [ "$(state | python3 -c 'import json, sys; print(json.load(sys.stdin)["running"] is not None)')" = True ]; }
# The 99th percentile in microseconds, and pulls a second.
pull() {
    wrk --latency -t 1 -c "$clients" -d "${seconds}s" -s "$work/pulls.lua" "http://127.0.0.1:$port" >"$work/wrk"
    if grep -q 'Non-2xx\|Socket errors' "$work/wrk"; then cat "$work/wrk" >&2; exit 1; fi
    awk '/99%/ { time = $2; factor = time ~ /us$/ ? 1 : time ~ /ms$/ ? 1000 : 1000000; sub(/[a-z]+$/, "", time); p99 = time * factor }
         /Requests\/sec/ { print p99, $2 }' "$work/wrk"
}
pull >/dev/null
echo 'without: p99 us, pulls/s   during: p99 us, pulls/s   ratio'
for ((round = 0; round < rounds; round++)); do
    without=$(pull)
    curl -sf -X POST -o /dev/null "http://127.0.0.1:$debug/debug/gc"
    # It waits that long until every server has noticed, before it begins to walk.
    sleep 6
    during=$(pull)
    is_running || { echo 'the collection ended before the pulls: the store is too small for so many seconds' >&2; exit 1; }
    while is_running; do sleep 0.2; done
    echo "$without $during" | awk '{ printf "%10d %12d %15d %10d %13.2f\n", $1, $2, $3, $4, $3 / $1 }' | tee -a "$work/rounds"
done
awk '{ print $5 }' "$work/rounds" | sort -n | awk '{ ratio[NR] = $1 } END { print "median ratio", ratio[int((NR + 1) / 2)] }'
state | python3 -c 'import json, sys; print("collections took", [round(run["duration_secs"], 1) for run in json.load(sys.stdin)["last"]], "s")'
