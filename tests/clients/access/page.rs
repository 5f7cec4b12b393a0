//! The page `docs/access.md` as written: its commands and configurations, in order, against a registry and a docker
//! engine in a network of their own, where the page's host and port are free.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::clients::support::{Dockerd, assert_first_lines, blocks, run, tool, write_program};

const PAGE: &str = "docs/access.md";

/// A fenced block of the page, identified by its first line, and what the walk does around it.
struct Step {
    first_line: &'static str,
    kind: Kind,
    before: &'static str,
    after: &'static str,
}

enum Kind {
    /// Commands; their standard output is in the file `out`.
    Commands,
    /// A part of a configuration, or a command's output: the walk writes it to the file `block`.
    Text,
}

const fn text(first_line: &'static str, after: &'static str) -> Step {
    Step { first_line, kind: Kind::Text, before: "", after }
}

const fn commands(first_line: &'static str, before: &'static str, after: &'static str) -> Step {
    Step { first_line, kind: Kind::Commands, before, after }
}

const STEPS: &[Step] = &[
    text("auth:", "cp block sections; cat base sections >config.yml; registry config check config.yml"),
    text(
        "access:",
        // "The file has the keys `groups` and `rules`, as above; they must not be in the main file too."
        "sed -n '/^access:/,$p' sections | sed '1d; s/^  //' >access.yml
         { cat base; grep -A 1 '^auth:' sections; cat block; } >config.yml
         registry config check config.yml; registry access check config.yml",
    ),
    commands(
        "registry user add alice",
        "registry user add carol --config config.yml; serve",
        "docker push registry.example.com/team/app:v1
         refused docker push registry.example.com/library/app:v1
         # A change needs no restart and no signal; a file with a mistake changes nothing.
         sed \"s#'team/\\*\\*'#['team/**', 'library/*']#\" access.yml >new; cp access.yml old; mv new access.yml
         until docker push registry.example.com/library/app:v1; do again; done
         echo 'rules: [' >new; mv new access.yml
         until grep 'keeping the last valid' server.log; do again; docker push registry.example.com/library/app:v1; done
         mv old access.yml; while docker push registry.example.com/library/app:v1; do again; done",
    ),
    commands(
        "openssl genpkey",
        "",
        "printf '  tokens: {signingkey: %s}\\n' \"$SITE/signing.pem\" >>config.yml
         stop; serve; docker push registry.example.com/team/app:v1",
    ),
    commands(
        "registry access rotate-key",
        "",
        "[ \"$(grep -c 'BEGIN PRIVATE KEY' signing.pem)\" = 2 ]
         kill -HUP $server; logged SIGHUP; docker push registry.example.com/team/app:v1",
    ),
    commands(
        "registry token create",
        "",
        "secret=$(grep -o '^spn_.*' out); [ \"$(grep -c spn_ out)\" = 1 ]; id=$(cut -d _ -f 2 <<<\"$secret\")
         grep \"^$id\" out; log_in ci \"$secret\"
         docker push registry.example.com/team/app:v1; refused docker push registry.example.com/library/app:v1",
    ),
    commands(
        "registry token show",
        "",
        "while docker push registry.example.com/team/app:v1; do again; done
         log_in ci \"$(grep -o '^spn_.*' out)\"; docker push registry.example.com/team/app:v1",
    ),
    text(
        "http:",
        "openssl req -x509 $NEW -days 2 -subj /CN=clients -keyout clients.key -out certs/clients.crt
         openssl req $NEW -subj /CN=x -addext subjectAltName=DNS:node1.example.com -keyout node.key -out node.csr
         openssl x509 -req -in node.csr -CA certs/clients.crt -CAkey clients.key -days 2 -copy_extensions copy -out node.crt
         { grep -v '^http:' base; grep -A 1 '^auth:' sections; sed 's/^http:/&\\n  addr: :443/' block; } >certificates.yml
         stop; serve certificates.yml
         [ \"$(status --cert node.crt --key node.key)\" = 200 ]; [ \"$(status)\" = 401 ]",
    ),
    text(
        "audit:",
        "cat block >>config.yml; stop; serve
         [ \"$(status --user alice:wrong)\" = 401 ]
         until grep '\"failed login\"' audit.log; do again; done",
    ),
    commands(
        "curl -i -X POST",
        "",
        "tr -d '\\r' <out | grep -o '^HTTP.* [0-9]*' | cut -d ' ' -f 2 | diff - <(printf '401\\n202\\n')
         grep 'realm=\"https://registry.example.com/auth/token\",.*scope=\"repository:team/app:pull,push\"' out",
    ),
    // The last command ends with 1, as the page says.
    commands("registry access check config-samples", "set +e; trap - ERR", "[ $? = 1 ] || exit; set -e; trap failed ERR"),
    text("alice may push", "diff <(grep . block) <(sed 1d out)"),
    commands("curl -su alice", "", "grep 'alice' out; grep 'repository:team/app:pull,push' out"),
    commands(
        "registry access import --zot",
        "mkdir zot; cd zot
         echo '{\"http\": {\"accessControl\": {\"repositories\": {\"**\": {\"defaultPolicy\": [\"read\"]}}}}}' >config.json",
        "registry access explain --file access.yml alice a pull; cd ..",
    ),
];

/// The deviations from the page.
const STANDINS: &[(&str, &str)] = &[
    ("/etc/registry, /etc/zot, /certs, /var/log/registry", "are below the directory of the test"),
    (
        "registry user add",
        "gets the password on standard input, and ends when the registry has read the file again",
    ),
    ("docker login, curl -u", "get the password without a terminal"),
    ("ID", "is the id of the token that the block before it created"),
];

/// Definitions before the first block. `again` bounds every repeated attempt.
const PRELUDE: &str = r#"set -euo pipefail
failed() { trap - ERR; echo "failed in line $at of the page" >&2; tail -n 20 out server.log >&2; }
trap failed ERR
trap '[ -z "$server" ] || kill $server' EXIT
set -o errtrace
exec </dev/null
cd "$SITE"
NEW='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
tries=0 server=
again() { tries=$((tries + 1)); [ "$tries" -lt 600 ]; }
refused() { if "$@"; then echo "succeeded: $*" >&2; return 1; fi; }
logged() { until grep -q "$1" server.log; do kill -0 $server; done; }
serve() { : >server.log; command registry serve "${1:-config.yml}" >>server.log 2>&1 & server=$!; logged 'listening on'; }
stop() { kill $server; wait $server; server=; }
status() { command curl -s -o status.out -w '%{http_code}' "$@" https://registry.example.com/v2/team/app/tags/list; }
log_in() { "$DOCKER" login -u "$1" --password-stdin registry.example.com <<<"$2"; }
registry() {
  if [ "$1 $2" != "user add" ]; then command registry "$@"; return; fi
  command registry "$@" <<<wonderland
  [ -z "$server" ] || until [ "$(status --user "$3:wonderland")" != 401 ]; do again; done
}
docker() { if [ "$1" = login ]; then "$DOCKER" "$@" --password-stdin <<<wonderland; else "$DOCKER" "$@"; fi; }
curl() { command curl "${@/#alice/alice:wonderland}"; }
"#;

#[test]
fn every_block_of_the_access_page_has_a_step_in_the_walk() {
    assert_first_lines(PAGE, STEPS.iter().map(|step| step.first_line));
}

#[test]
#[ignore = "needs docker, curl and openssl, as root"]
fn the_access_page_works_as_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let site = directory.path().display().to_string();
    let binary = env!("CARGO_BIN_EXE_registry");
    run(tool(binary).args(["certificate", "registry.example.com", "--out"]).arg(path("certs")));
    let trusted = path("etc/docker/certs.d/registry.example.com");
    fs::create_dir_all(&trusted).unwrap();
    fs::copy(path("certs/ca.crt"), trusted.join("ca.crt")).unwrap();
    fs::write(path("etc/hosts"), "127.0.0.1 localhost\n::1 registry.example.com\n").unwrap();
    fs::create_dir(path("bin")).unwrap();
    symlink(binary, path("bin/registry")).unwrap();
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/config-samples"), path("config-samples")).unwrap();
    // The rest of a configuration around the page's sections.
    let base = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {site}/data}}}}\nhttp: {{addr: ':443', tls: {{certificate: \
         {site}/certs/domain.crt, key: {site}/certs/domain.key}}}}\n"
    );
    fs::write(path("base"), base).unwrap();

    let docker = Dockerd::start_apart(&path("etc"), &[]);
    docker.build("registry.example.com/team/app:v1", &[b"a layer"]);
    docker.run(&["tag", "registry.example.com/team/app:v1", "registry.example.com/library/app:v1"]);

    let mut walk = PRELUDE.to_owned();
    for (number, (block, step)) in blocks(PAGE).iter().zip(STEPS).enumerate() {
        let mut text = block.text.clone();
        for (place, here) in
            [("/etc/registry", ""), ("/etc/zot", "/zot"), ("/certs", "/certs"), ("/var/log/registry", "")]
        {
            text = text.replace(&format!("{place}/"), &format!("{site}{here}/"));
        }
        text = text.replace(" ID ", " \"$id\" ");
        let (line, before, after) = (block.line, step.before, step.after);
        walk.push_str(&format!("at={line}; echo \"== {PAGE}:{line} ($SECONDS s)\"\n{before}\n"));
        match step.kind {
            Kind::Commands => walk.push_str(&format!("{{\n{text}}} >\"$SITE/out\"\n{after}\n")),
            Kind::Text => {
                fs::write(path(&format!("block-{number}")), text).unwrap();
                walk.push_str(&format!("cp block-{number} block\n{after}\n"));
            }
        }
    }
    walk.push_str("echo walked\n");
    fs::write(path("walk.sh"), walk).unwrap();
    // Writes past the capture of the test's output.
    let mut stderr = std::io::stderr();
    for (command, standin) in STANDINS {
        writeln!(stderr, "{PAGE}: {command} {standin}").unwrap();
    }
    // The engine's client without the address in each command.
    let client = run(tool("sh").args(["-c", "command -v docker"])).trim().to_owned();
    let script = format!("#!/bin/sh\nexec {client} --host {} \"$@\"\n", docker.host());
    write_program(&path("bin/engine"), &script);
    let mut bash = docker.command_inside("bash");
    bash.arg(path("walk.sh")).env("HOME", directory.path()).env("SITE", directory.path());
    bash.env("DOCKER", path("bin/engine")).env("CURL_CA_BUNDLE", path("certs/ca.crt"));
    bash.env("PATH", format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap()));
    let told = run(&mut bash);
    // The shell reads the script to its end, whatever a block does.
    assert!(told.trim_end().ends_with("walked"), "{told}");
}
