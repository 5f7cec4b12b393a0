# shellcheck shell=bash
# What the parts of CI share. To be sourced; the working directory is the checkout afterwards.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The machine is shared, and some of the servers are slow.
export SAMPAN_CONFORMANCE_PATIENCE=${SAMPAN_CONFORMANCE_PATIENCE:-5}

step() { printf '\n=== %s (%s s)\n' "$*" "$SECONDS"; }

# Installs the packages of Debian that are missing; as root, else it says which those are.
need() {
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
