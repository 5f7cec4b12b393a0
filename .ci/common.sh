# shellcheck shell=bash
# What the parts of CI share. To be sourced; the working directory is the checkout afterwards.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The machine is shared, and some of the servers are slow.
export SAMPAN_CONFORMANCE_PATIENCE=${SAMPAN_CONFORMANCE_PATIENCE:-5}

# Tests wait for disks, timers and other programs: with as many at a time as there are processors, half of those are idle.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}

step() { printf '\n=== %s (%s s)\n' "$*" "$SECONDS"; }

# Installs the packages of Debian that are missing; as root, else it says which those are. One at a time: .ci/run fetches for
# later parts while earlier ones compile.
need() {
    [[ $(id -u) == 0 ]] || { install_missing "$@"; return; }
    exec 9>/run/lock/sampan-ci
    flock 9
    # Services that packages start would keep it.
    install_missing "$@" 9>&-
    exec 9>&-
}

# Ends a part of which only what it needs is wanted: packages, and programs that are no packages.
fetched() { [[ -z ${SAMPAN_CI_FETCH:-} ]] || exit 0; }

# Ends a part of which only what it compiles is wanted.
compiled() { [[ -z ${SAMPAN_CI_BUILD:-} ]] || exit 0; }

install_missing() {
    local missing=() package
    for package in "$@"; do
        # A nodejs package may bring npm, and then refuses Debian's.
        if [[ $package == npm ]] && command -v npm >/dev/null; then continue; fi
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
    done
    [[ ${#missing[@]} == 0 ]] && return
    if [[ $(id -u) != 0 ]]; then
        printf '%s: missing packages; run as root: apt-get install --no-install-recommends %s\n' "$0" "${missing[*]}" >&2
        exit 1
    fi
    step "install ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    # Packages may have started services; the tests start their own.
    local service
    for service in ceph.target docker docker-registry nginx redis-server; do
        if command -v systemctl >/dev/null && systemctl is-active --quiet "$service" 2>/dev/null; then
            systemctl stop "$service"
        fi
    done
}
