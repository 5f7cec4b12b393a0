#!/usr/bin/env bash
# Builds the container image, the static binary in it and all.
#
# Usage: ./image.sh [--nonroot] [--binary FILE] [TAG]
#   --nonroot       the image whose registry is user 65532 and not root; its tag is TAG-nonroot
#   --binary FILE   takes a binary that is there already
#   TAG             sampan, if none is given
#
# Needs Rust, a C compiler with binutils, and docker (DOCKER names another client).
set -euo pipefail
cd "$(dirname "$0")"

fail() { printf 'image.sh: %s\n' "$*" >&2; exit 1; }

tag=sampan variant=root binary='' docker=${DOCKER:-docker}
while [ $# -gt 0 ]; do
    case $1 in
        --nonroot) variant=nonroot ;;
        --binary) [ $# -gt 1 ] || fail "--binary needs a file"; binary=$2; shift ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit ;;
        -*) fail "there is no option $1; see ./image.sh --help" ;;
        *) tag=$1 ;;
    esac
    shift
done
[ "$variant" = root ] || tag=$tag-$variant

if [ -z "$binary" ]; then
    # A directory of its own: what `cargo build` puts beside it later needs shared libraries again.
    cargo rustc --profile dist --locked --target-dir target/static --bin registry -- -C target-feature=+crt-static
    binary=target/static/dist/registry
fi

# There is nothing else in the image, so a binary that needs a loader would end with "no such file or directory" there.
[ -f "$binary" ] || fail "there is no file $binary"
command -v readelf >/dev/null || fail "readelf is missing: install binutils"
header=$(readelf --file-header --wide "$binary" 2>/dev/null) || fail "$binary is no program"
if readelf --program-headers --wide "$binary" | grep -q INTERP; then
    fail "$binary needs shared libraries, and there are none in the image: without --binary, this script builds a static one" \
        "(cargo rustc --profile dist --bin registry -- -C target-feature=+crt-static)"
fi
case $header in
    *X86-64*) built_for=amd64 ;;
    *AArch64*) built_for=arm64 ;;
    *) built_for=$(sed -n 's/^ *Machine: *//p' <<<"$header") ;;
esac
engine=$("$docker" version --format '{{.Server.Arch}}') || fail "$docker does not answer: is its engine running?"
[ "$built_for" = "$engine" ] ||
    fail "$binary is for $built_for, and $docker builds for $engine: build the image on a machine like that"

authorities=''
for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
    /etc/ssl/cert.pem; do
    if [ -f "$bundle" ]; then authorities=$bundle; break; fi
done
[ -n "$authorities" ] || fail "this machine has no certificates of authorities: install ca-certificates, or set SSL_CERT_FILE"

mkdir -p target/image
cp "$binary" target/image/registry
cp "$authorities" target/image/ca-certificates.crt
chmod 755 target/image/registry
chmod 644 target/image/ca-certificates.crt
"$docker" build --build-arg "VARIANT=$variant" --tag "$tag" .
printf '%s is built: %s\n' "$tag" "$("$docker" run --rm --network none "$tag" --version)"
