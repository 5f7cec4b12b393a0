#!/usr/bin/env bash
# Builds the container image, the static binary in it and all.
#
# Usage: ./image.sh [--nonroot] [--platform PLATFORM] [--binary FILE | --only-binary] [TAG]
#   --nonroot             the image whose registry is user 65532 and not root; its tag is TAG-nonroot
#   --platform PLATFORM   linux/amd64 or linux/arm64; if none is given, that of the docker engine
#   --binary FILE         takes a binary that is there already
#   --only-binary         ends with the path of the static binary, without an image
#   TAG                   sampan, if none is given
#
# Needs Rust, a C compiler with binutils, and docker (DOCKER names another client). For another platform than this machine's, Rust
# needs that target, and the C compiler is the cross compiler of that platform.
set -euo pipefail
cd "$(dirname "$0")"

fail() { printf 'image.sh: %s\n' "$*" >&2; exit 1; }

tag=sampan variant=root binary='' only='' platform='' docker=${DOCKER:-docker}
while [ $# -gt 0 ]; do
    case $1 in
        --nonroot) variant=nonroot ;;
        --binary) [ $# -gt 1 ] || fail "--binary needs a file"; binary=$2; shift ;;
        --platform) [ $# -gt 1 ] || fail "--platform needs a platform, such as linux/arm64"; platform=$2; shift ;;
        --only-binary) only=1 ;;
        -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit ;;
        -*) fail "there is no option $1; see ./image.sh --help" ;;
        *) tag=$1 ;;
    esac
    shift
done
[ "$variant" = root ] || tag=$tag-$variant

engine() {
    "$docker" version --format '{{.Server.Os}}/{{.Server.Arch}}' || fail "$docker does not answer: is its engine running?"
}
[ -n "$platform" ] || platform=$(engine)
case $platform in
    linux/amd64) machine=x86_64 ;;
    linux/arm64) machine=aarch64 ;;
    *) fail "the platform $platform is not built here: choose linux/amd64 or linux/arm64 (--platform)" ;;
esac

if [ -z "$binary" ]; then
    target=$machine-unknown-linux-gnu
    if [ "Linux $machine" != "$(uname -sm)" ]; then
        [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || fail "Rust has no target $target: rustup target add $target"
        compiler=$machine-linux-gnu-gcc
        command -v "$compiler" >/dev/null ||
            fail "there is no C compiler for $platform ($compiler): on Debian, apt-get install gcc-${machine/_/-}-linux-gnu" \
                "and libc6-dev-${platform#linux/}-cross"
        variable=${target//-/_}
        export "CC_$variable=$compiler" "CARGO_TARGET_${variable^^}_LINKER=$compiler"
    fi
    # A directory of its own: what `cargo build` puts beside it later needs shared libraries again.
    # Packed relocations are 12 KB instead of 980, all of which a start reads; glibc applies them since 2.36.
    cargo rustc --profile dist --locked --target "$target" --target-dir target/static --bin registry -- \
        -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs
    binary=target/static/$target/dist/registry
    if [ "Linux $machine" = "$(uname -sm)" ]; then
        "$binary" --version >/dev/null || fail "$binary does not start: the C library must be glibc 2.36 or later"
    fi
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
    *X86-64*) built_for=linux/amd64 ;;
    *AArch64*) built_for=linux/arm64 ;;
    *) built_for=$(sed -n 's/^ *Machine: *//p' <<<"$header") ;;
esac
[ "$built_for" = "$platform" ] ||
    fail "$binary is for $built_for, and the image would be for $platform: give --platform $built_for, or another binary"

if [ -n "$only" ]; then
    printf '%s\n' "$binary"
    exit
fi

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
build=(build --build-arg "VARIANT=$variant" --tag "$tag")
if [ "$platform" = "$(engine)" ]; then
    "$docker" "${build[@]}" .
    printf '%s is built: %s\n' "$tag" "$("$docker" run --rm --network none "$tag" --version)"
else
    # The engine cannot run the binary that it puts there; readelf has looked at it above.
    sed '/^RUN /d' Dockerfile | "$docker" "${build[@]}" --platform "$platform" --file - .
    printf '%s is built for %s, and was not tried\n' "$tag" \
        "$("$docker" image inspect --format '{{.Os}}/{{.Architecture}}' "$tag")"
fi
