# The commands of the house; `just` lists them. Each is one line that also works without just.

_list:
    @just --list --unsorted

# What the editor should say while you type: types and lints.
check:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Every test that needs no other program; `just test it FILTER` runs some.
test TARGET="" FILTER="":
    cargo test --workspace --locked {{ if TARGET == "" { "" } else { "--test " + TARGET } }} -- {{ FILTER }}

# The drivers over S3, GCS and Azure servers on this machine (Debian, root).
stores *SERVERS:
    .ci/stores {{ SERVERS }}

# docker, podman, skopeo, crane, regctl, oras, nginx, Redis, Ceph … against the built binary (Debian, root).
clients FILTER="":
    .ci/clients {{ FILTER }}

# The web page in Chromium: `just browser login.test.js` runs one file (Debian, root).
browser *FILES:
    .ci/browser {{ FILES }}

# helm, cosign and BuildKit against the built binary, after they were built themselves (Debian, root).
clients-extra FILTER="":
    .ci/clients-extra {{ FILTER }}

# The figures of docs/performance.md (needs docker-registry and nginx).
bench:
    cargo build --profile dist --locked
    tests/benches/performance.sh 7 1s

# Licences, sources and advisories of what is linked (needs cargo-deny).
deny:
    .ci/deny

# All that must hold before a change lands (Debian, root, under an hour).
ci:
    .ci/run

# Looks for bytes that break a rule, ten seconds a target: `SECS=600 just fuzz manifest`.
fuzz *TARGETS:
    .ci/fuzz {{ TARGETS }}

# What a release hands out for this machine's kind, into target/release-files (needs cargo-deb and cargo-cyclonedx).
release:
    .ci/release
