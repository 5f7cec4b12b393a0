//! The deployment guide as written: the commands of its fenced blocks, in order, against a real engine.
//!
//! The engine has its own network and a few mounts, so that the guide's port, names and directories are free there.

use std::fs;
use std::io::Write;

use super::container::{context, static_binary};
use super::support::{Dockerd, assert_first_lines, blocks, run, tool, write_program};

const PAGES: [&str; 2] = ["docs/deployment.md", "docs/deployment.zh-HK.md"];

/// One fenced block of the guide, identified by its first line, and its treatment.
struct Step {
    first_line: &'static str,
    fate: Fate,
}

enum Fate {
    /// The walk runs the block unchanged; `before` and `after` carry out the steps that the page has in prose, and check the
    /// result.
    Run { before: &'static str, after: &'static str },
    /// The block cannot run here.
    Left { reason: &'static str },
}

const fn step(first_line: &'static str) -> Step {
    with(first_line, "", "")
}

const fn with(first_line: &'static str, before: &'static str, after: &'static str) -> Step {
    Step { first_line, fate: Fate::Run { before, after } }
}

const fn left(first_line: &'static str, reason: &'static str) -> Step {
    Step { first_line, fate: Fate::Left { reason } }
}

const STEPS: &[Step] = &[
    step("./image.sh"),
    step("docker load --input sampan.tar"),
    with("docker run -d -p 5000:5000 --name registry sampan", "", "test -z \"$(docker volume ls --quiet)\""),
    with(
        "mkdir -p /srv/registry && cd /srv/registry",
        "",
        "cp \"$SITE/docker-compose.yml\" . && cp \"$SITE/config.yml\" config/ && mv \"$CONTEXT/sampan.tar\" .",
    ),
    step("registry() { docker run"),
    step("registry certificate --out authority registry.example"),
    with(
        "registry certificate --out authority --replace registry.example",
        "before=$(sha256sum certs/domain.crt)",
        "[ \"$before\" != \"$(sha256sum certs/domain.crt)\" ]",
    ),
    with("registry htpasswd add auth/htpasswd alice", "", "grep -q '^alice:' auth/htpasswd"),
    step("chmod 600 certs/domain.key auth/htpasswd"),
    with("docker compose up -d", "", "served docker compose exec -T registry; docker compose stop"),
    with(
        "docker run -d -p 5000:5000 --restart=always",
        "",
        "served docker exec registry; docker rm --force registry; docker compose start; served docker compose exec -T registry",
    ),
    left("systemctl enable --now registry", "there is no systemd; tests/cli/systemd.rs speaks its protocol"),
    left("export REGISTRY_HTTP_TLS_CERTIFICATE=", "it belongs to the deployment with systemd"),
    with(
        "mkdir -p /etc/docker/certs.d/registry.example:5000",
        "mkdir client && cp authority/ca.crt client/ && cd client",
        "cd /srv/registry",
    ),
    left(
        "{\"insecure-registries\"",
        "a file, and the engine would have to restart; tests/clients/client_tls.rs takes that way without TLS",
    ),
    with("docker login registry.example:5000", "build alpine one", ""),
    with(
        "registry status",
        // The prose says: "Before `registry`, write `docker compose exec registry`".
        "registry() { docker compose exec registry registry \"$@\"; }",
        "registry ls | grep '^alpine:latest'",
    ),
    with(
        "registry config check",
        "sed -i 's/      enabled: false/      enabled: true/' config/config.yml",
        "logged 'SIGHUP: applied: '; refused docker image push registry.example:5000/alpine
         sed -i 's/      enabled: true/      enabled: false/' config/config.yml
         docker compose kill -s HUP registry; tries=0; until docker image push registry.example:5000/alpine; do again; done",
    ),
    with(
        "skopeo delete docker://registry.example:5000/alpine:latest",
        "",
        "refused docker image pull registry.example:5000/alpine; size=$(blobs)",
    ),
    with("registry status --collect-garbage", "", "test \"$(blobs)\" = \"$size\""),
    with(
        "docker compose stop",
        "",
        "test \"$(blobs)\" -lt \"$size\"; served docker compose exec -T registry; docker image push registry.example:5000/alpine",
    ),
    step("backup=/backup/$(date +%F)"),
    with(
        "backup=$(ls -d /backup/*",
        "skopeo delete docker://registry.example:5000/alpine:latest; docker image rm registry.example:5000/alpine",
        "served docker compose exec -T registry; docker image pull registry.example:5000/alpine",
    ),
    with("docker image tag sampan sampan:before", "", "served docker compose exec -T registry"),
    with(
        "docker image tag sampan:before sampan",
        "",
        "served docker compose exec -T registry; docker image pull registry.example:5000/alpine",
    ),
    with("registry config check --for distribution", "", "docker compose down --timeout 60"),
];

/// The replacements for a user's terminal, and other deviations from the page.
const STANDINS: &[(&str, &str)] = &[
    (
        "./image.sh",
        "takes the binary that the tests were built with, since that of the profile `dist` takes many minutes",
    ),
    (
        "docker compose",
        "is Debian's docker-compose, which needs `-T` where there is no terminal, where docker has no `compose`",
    ),
    ("docker run -it", "is `docker run -i`: there is no terminal, and the password comes on standard input"),
    (
        "docker login",
        "gets the user's name as an option and the password on standard input, for the same reason",
    ),
    ("docker image tag alpine", "`alpine` is an image made on the spot, since there is no network"),
];

/// Definitions before the first block. `again` bounds every repeated attempt.
const PRELUDE: &str = r#"set -euo pipefail
trap 'echo "failed in line $at of the page" >&2' ERR
set -o errtrace
tries=0
again() { tries=$((tries + 1)); [ "$tries" -lt 300 ] || { docker compose logs --tail 20 registry; exit 1; }; }
refused() { if "$@"; then echo "succeeded: $*" >&2; exit 1; fi; }
served() { tries=0; until "$@" registry health; do again; done; }
logged() { tries=0; until docker compose logs registry | grep -q "$1"; do again; done; }
blobs() { find data/docker/registry/v2/blobs -name data | wc -l; }
build() { printf 'FROM scratch\nCOPY %s /%s\n' "$2" "$2" >"$CONTEXT/made"; echo "$2 $RANDOM" >"$CONTEXT/$2"
  (cd "$CONTEXT" && rm -f .dockerignore && docker build --quiet --tag "$1" --file made .); }
cd "$CONTEXT"
"#;

/// `docker` in the walk: its first argument selects the stand-in.
const DOCKER: &str = r#"#!/bin/bash
case "$1" in
  compose)
    docker=(PROGRAM "$@")
    if ! PROGRAM compose version >/dev/null 2>&1; then docker=(docker-compose "${@:2}"); fi
    case " $* " in
      *" -T "*) ;;
      *" exec "*) docker=("${docker[@]/#exec/exec -T}") ;;
      *" run "*) docker=("${docker[@]/#run/run -T}") ;;
    esac
    # What a word became two words by.
    exec ${docker[*]} </dev/null ;;
  login) exec PROGRAM "$@" --username alice --password-stdin <<<wonderland ;;
  run) exec PROGRAM "${@/#-it/-i}" <<<wonderland ;;
  *) exec PROGRAM "$@" </dev/null ;;
esac
"#;

#[test]
fn every_block_of_the_guide_has_a_step_in_the_walk() {
    for page in PAGES {
        assert_first_lines(page, STEPS.iter().map(|step| step.first_line));
    }
}

#[test]
fn the_files_of_the_offline_site_are_where_its_readme_says() {
    let readme = fs::read_to_string("config-samples/air-gapped/README.md").unwrap();
    let rows: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut files: Vec<String> = fs::read_dir("config-samples/air-gapped")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    files.sort();
    let mut named: Vec<String> = rows.iter().map(|&row| row.to_owned()).collect();
    named.sort();
    assert_eq!(named, files);
    // The walk puts them there.
    for (file, place) in [("docker-compose.yml", "/srv/registry"), ("config.yml", "/srv/registry/config")] {
        assert!(readme.contains(&format!("| `{file}` | `{place}`")), "{readme}");
    }
    assert!(!readme.contains("```"), "a block of this page would be walked by nothing");
}

#[test]
#[ignore = "needs docker, docker-compose and skopeo, as root"]
fn the_deployment_guide_works_as_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let context = context(directory.path());
    let binary = static_binary();
    // The script of the page, behind one that names the binary.
    fs::rename(context.join("image.sh"), context.join("image-of-the-page.sh")).unwrap();
    let script = format!("exec ./image-of-the-page.sh --binary '{}' \"$@\"", binary.display());
    write_program(&context.join("image.sh"), &format!("#!/bin/bash\n{script}\n"));
    fs::create_dir(path("bin")).unwrap();
    let program = run(tool("sh").args(["-c", "command -v docker"])).trim().to_owned();
    write_program(&path("bin/docker"), &DOCKER.replace("PROGRAM", &program));

    let etc = path("etc");
    fs::create_dir_all(etc.join("docker")).unwrap();
    fs::write(etc.join("hosts"), "127.0.0.1 localhost registry.example\n").unwrap();
    let _backup = Backup::new();
    let docker = Dockerd::start_apart(&etc, &["/srv", "/backup"]);

    let page = PAGES[0];
    let mut walk = PRELUDE.to_owned();
    let mut stderr = std::io::stderr();
    for (block, step) in blocks(page).iter().zip(STEPS) {
        match step.fate {
            Fate::Left { reason } => {
                // Writes past the capture of the test's output, so that skipped blocks are visible.
                writeln!(stderr, "{page}:{}: not run: {}: {reason}", block.line, step.first_line).unwrap();
            }
            Fate::Run { before, after } => {
                let (line, text) = (block.line, &block.text);
                walk.push_str(&format!(
                    "at={line}; echo \"== {page}:{line} ($SECONDS s)\"\n{before}\n{text}\n{after}\n"
                ));
            }
        }
    }
    for (command, standin) in STANDINS {
        writeln!(stderr, "{page}: `{command}` {standin}").unwrap();
    }
    walk.push_str("echo walked\n");
    fs::write(path("walk.sh"), walk).unwrap();
    let mut bash = docker.command_inside("bash");
    bash.arg(path("walk.sh")).env("HOME", directory.path()).env("CONTEXT", &context);
    bash.env("DOCKER_HOST", docker.host()).env("DOCKER_BUILDKIT", "0");
    bash.env("SITE", context.join("config-samples/air-gapped"));
    let programs = std::env::var("PATH").unwrap();
    bash.env("PATH", format!("{}:{programs}", path("bin").display()));
    let told = run(&mut bash);
    // The shell reads the script to its end, whatever a block does.
    assert!(told.trim_end().ends_with("walked"), "{told}");
}

/// The directory to which the guide copies; the walk mounts another over it. Keeps a directory that was there already.
struct Backup(bool);

impl Backup {
    fn new() -> Self {
        Self(fs::create_dir("/backup").is_ok())
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_dir("/backup");
        }
    }
}
