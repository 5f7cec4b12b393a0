//! The runbook of `docs/keeping.md` as written: the commands of each section, in order, over directories and beside a
//! registry that serves them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use regex::Regex;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use crate::clients::support::{blocks, filesystem_config, registry, run, tool};
use crate::support::StoreFiles;

const PAGE: &str = "docs/keeping.md";

/// A section of the runbook, and what the walk does around it.
struct Section {
    heading: &'static str,
    /// Prepares the directory of the test, in which `/srv/old` is `old`.
    prepare: fn(&Path),
    /// The configuration that a registry serves at the beginning.
    served: &'static str,
    /// Checks the result.
    after: &'static str,
}

const SECTIONS: [Section; 6] = [
    Section {
        heading: "A disk is dying",
        prepare: |site| {
            seed(&site.join("copy"));
            let layers = seed(&site.join("old"));
            let store = StoreFiles::new(&site.join("old"));
            fs::write(store.path(&Entry::Blob(layers[0].clone())), "short").unwrap();
            fs::remove_file(store.path(&Entry::Blob(layers[1].clone()))).unwrap();
            fs::create_dir(site.join("new")).unwrap();
        },
        served: "config.yml",
        after: "registry verify --since-start new.yml; refused registry verify --since-start config.yml; listed new.yml",
    },
    Section {
        heading: "A machine is replaced",
        prepare: |site| _ = seed(&site.join("old")),
        served: "old.yml",
        after: "registry verify --since-start new.yml; test -e old/docker/registry/sampan/moved; listed new.yml",
    },
    Section {
        heading: "A repository was deleted by mistake",
        prepare: |site| {
            seed(&site.join("old"));
            delete_everything(site);
        },
        served: "config.yml",
        after: "refused grep 'collected garbage' server.log; listed config.yml",
    },
    Section {
        heading: "A repository was deleted, and there are backups",
        prepare: |site| {
            save(site);
            delete_everything(site);
        },
        served: "config.yml",
        after: "registry verify --since-start config.yml; listed config.yml",
    },
    Section {
        heading: "A machine is lost",
        prepare: |site| {
            save(site);
            fs::remove_dir_all(site.join("old")).unwrap();
        },
        served: "config.yml",
        after: "registry verify --since-start config.yml; listed config.yml",
    },
    Section {
        heading: "A bucket is moved",
        prepare: |site| _ = seed(&site.join("old")),
        served: "old.yml",
        after: "registry verify --since-start new.yml; listed new.yml",
    },
];

/// Two repositories; their layers.
fn seed(root: &Path) -> Vec<Digest> {
    let store = StoreFiles::new(root);
    let layers = ["first", "second"].map(|layer| layer.repeat(1000));
    for repository in ["team/app", "other"] {
        let image = store.image(repository, repository, &layers);
        store.tag(repository, "v1", &image);
    }
    layers.iter().map(|layer| Digest::sha256_of(layer.as_bytes())).collect()
}

/// Seeds the store, and makes a backup of it.
fn save(site: &Path) {
    seed(&site.join("old"));
    let config = |name: &str| {
        let path = site.join(format!("of-{name}.yml"));
        fs::write(&path, filesystem_config(&site.join(name))).unwrap();
        path
    };
    let mut command = tool(env!("CARGO_BIN_EXE_registry"));
    run(command.args(["backup", "run", "--quiet", "--to"]).arg(config("backups")).arg(config("old")));
}

/// Deletes the image of `team/app` by its digest, as clients delete a repository.
fn delete_everything(site: &Path) {
    let mut registry = registry(site, &filesystem_config(&site.join("old")));
    let accept = [("Accept", "*/*")];
    let tagged = registry.wire().send("GET", "/v2/team/app/manifests/v1", &accept, b"");
    let image = format!("/v2/team/app/manifests/{}", Digest::sha256_of(&tagged.body));
    assert_eq!(registry.wire().send("DELETE", &image, &[], b"").status, 202);
    assert_eq!(registry.wire().send("GET", "/v2/team/app/manifests/v1", &accept, b"").status, 404);
    registry.process.signal("TERM");
    assert!(registry.process.wait().success());
}

/// Definitions before the commands. What the page has in prose is `set_key` and `serve`.
const PRELUDE: &str = r#"set -euo pipefail
trap 'echo "failed in line $at of the page" >&2; cat server.log >&2' ERR
trap '[ -z "$server" ] || kill $server' EXIT
exec </dev/null
cd "$SITE"
server=
refused() { if "$@"; then echo "succeeded: $*" >&2; return 1; fi; }
logged() { until grep -q "$1" server.log; do kill -0 "$server"; refused grep 'nothing was applied' server.log; done; }
stop() { [ -z "$server" ] || { kill "$server"; wait "$server"; server=; }; }
serve() { stop; : >server.log; registry serve "$1" >>server.log 2>&1 & server=$!; logged 'listening on'; }
set_key() {
  case "$1: $2" in
    'storage.maintenance.readonly.enabled: true') sed -i 's/readonly: {enabled: false}/readonly: {enabled: true}/' "$3" ;;
    'gc.enabled: false') sed -i 's/gc: {enabled: true/gc: {enabled: false/' "$3" ;;
    *) echo "what is $1: $2?" >&2; return 1 ;;
  esac
  if [ "$4" = restart ]; then serve "$3"; else : >server.log; kill -HUP "$server"; logged 'SIGHUP: applied: '; fi
}
# Both images are in the listing that the running registry gives.
listed() {
  tr '\0' ' ' <"/proc/$server/cmdline" | grep -q "serve $1"
  registry ls --config "$1" >listing; grep -q '^team/app:v1' listing; grep -q '^other:v1' listing
}
"#;

/// The blocks of the runbook, with the heading of each.
fn runbook() -> Vec<(String, usize, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|line| *line == "## Runbook").unwrap();
    let end = (begin + 1..lines.len()).find(|line| lines[*line].starts_with("## ")).unwrap_or(lines.len());
    let heading =
        |line: usize| lines[..line].iter().rev().find_map(|line| line.strip_prefix("### ")).unwrap();
    let inside = blocks(PAGE).into_iter().filter(|block| (begin..end).contains(&block.line));
    inside.map(|block| (heading(block.line).to_owned(), block.line, block.text)).collect()
}

#[test]
fn every_block_of_the_runbook_is_walked() {
    let headings: Vec<String> = runbook().into_iter().map(|(heading, ..)| heading).collect();
    assert_eq!(headings, SECTIONS.map(|section| section.heading));
}

#[track_caller]
fn walk(number: usize) {
    let (_, line, commands) = &runbook()[number];
    let Section { prepare, served, after, .. } = &SECTIONS[number];
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path();
    prepare(site);
    for (name, root, collects) in [
        ("config", "old", "gc: {enabled: true}\n"),
        ("old", "old", ""),
        ("new", "new", ""),
        ("copy", "copy", ""),
        ("backup", "backups", ""),
    ] {
        let config = format!(
            "version: 0.1\nhttp: {{addr: '127.0.0.1:0'}}\n{collects}storage:\n  filesystem: {{rootdirectory: {root}}}\n  \
             maintenance: {{readonly: {{enabled: false}}}}\n"
        );
        fs::write(site.join(format!("{name}.yml")), config).unwrap();
    }
    fs::create_dir(site.join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_registry"), site.join("bin/registry")).unwrap();
    let set = Regex::new(r"(?m)^# Now set (\S+): (\S+) in (\S+), and (send|restart) .*$").unwrap();
    let serve = Regex::new(r"(?m)^# Now serve (\S+)\.$").unwrap();
    let commands = set.replace_all(commands, "set_key $1 $2 $3 $4");
    let commands = serve.replace_all(&commands, "serve $1").replace("/srv/", &format!("{}/", site.display()));
    assert!(!commands.lines().any(|line| line.starts_with('#')), "a step is left out: {commands}");
    let script = format!("{PRELUDE}at={line}\nserve {served}\n{commands}{after}\necho walked\n");
    fs::write(site.join("walk.sh"), script).unwrap();
    let path = format!("{}:{}", site.join("bin").display(), std::env::var("PATH").unwrap());
    let told = run(tool("bash").arg(site.join("walk.sh")).env("SITE", site).env("PATH", path));
    // The shell reads the script to its end, whatever a command does.
    assert!(told.trim_end().ends_with("walked"), "{told}");
}

#[test]
fn a_dying_disk_is_left_as_the_runbook_says() {
    walk(0);
}

#[test]
fn a_machine_is_replaced_as_the_runbook_says() {
    walk(1);
}

#[test]
fn a_deleted_repository_comes_back_as_the_runbook_says() {
    walk(2);
}

#[test]
fn a_deleted_repository_comes_back_from_a_backup_as_the_runbook_says() {
    walk(3);
}

#[test]
fn a_lost_machine_is_replaced_as_the_runbook_says() {
    walk(4);
}

#[test]
fn a_bucket_is_moved_as_the_runbook_says() {
    walk(5);
}
