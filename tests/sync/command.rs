//! `registry sync`, by the built binary.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use sampan_engine::layout::Entry;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::support::{Ended, binary, end};
use crate::clients::support::{Process, filesystem_config};
use crate::support::hostile_server::Gate;
use crate::support::{StoreFiles, Upstream};

/// A configuration of two jobs, and its upstream. The tests need a runtime of several threads, since they wait for processes.
pub(super) struct Fixture {
    pub(super) directory: TempDir,
    pub(super) upstream: Upstream,
}

const JOBS: &str = "sync:\n\
    \x20 - {name: apps, from: up, repositories: [{from: app, to: copy/app}]}\n\
    \x20 - {name: tools, from: up, interval: 1m, repositories: [{from: tool}]}\n";

impl Fixture {
    pub(super) async fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap(), upstream: Upstream::start().await };
        for name in ["app", "tool"] {
            for tag in ["1.0", "2.0"] {
                site.upstream.image(name, tag, &[b"common", format!("{name} {tag}").as_bytes()]);
            }
        }
        site.write(JOBS);
        site
    }

    pub(super) fn config(&self, jobs: &str) -> String {
        let proxy =
            format!("proxy: {{upstreams: [{{name: up, prefix: up, url: '{}'}}]}}\n", self.upstream.url());
        filesystem_config(&self.path("data")) + &proxy + jobs
    }

    pub(super) fn write(&self, jobs: &str) {
        fs::write(self.path("config.yml"), self.config(jobs)).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn store(&self) -> StoreFiles {
        StoreFiles::new(&self.path("data"))
    }

    /// The tags of the store, as `NAME:TAG`.
    fn tags(&self) -> Vec<String> {
        let tags = self.store().entries().into_iter().filter_map(|entry| match entry {
            Entry::TagCurrent(name, tag) => Some(format!("{name}:{tag}")),
            _ => None,
        });
        let mut tags: Vec<String> = tags.collect();
        tags.sort();
        tags
    }

    /// Makes a store with a repository of its own.
    fn make_store(&self) {
        self.store().layer("team/app", "layer");
    }

    /// Every file of the store, sorted.
    fn files(&self) -> Vec<String> {
        let mut files = self.store().files();
        files.sort();
        files
    }

    /// Runs `registry sync config.yml ARGS`, which must end with this code.
    #[track_caller]
    pub(super) fn sync(&self, code: i32, args: &[&str]) -> Ended {
        let ended = end(binary(self.directory.path()).args(["sync", "config.yml"]).args(args), "");
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        ended
    }

    /// The record of a run of the job `apps`.
    pub(super) fn record(&self, number: u64) -> PathBuf {
        self.store().path(&Entry::SyncRun("apps".parse().unwrap(), number))
    }

    pub(super) fn read_record(&self, number: u64) -> Value {
        serde_json::from_slice(&fs::read(self.record(number)).unwrap()).unwrap()
    }

    /// Leaves the record of a run that was killed and gave its last sign of life so long ago.
    pub(super) fn leave_record(&self, silent_secs: u64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let alive_ms = now.as_millis() as u64 - silent_secs * 1000;
        let path = self.record(0);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, json!({ "begun_ms": alive_ms, "alive_ms": alive_ms }).to_string()).unwrap();
    }

    /// Starts `registry sync`, and waits until it has asked the upstream for a blob that the gate holds.
    pub(super) async fn held(&self, args: &[&str]) -> (Process, Gate) {
        let gate = Gate::new();
        let held = gate.clone();
        self.upstream.script(move |seen, honest| match seen.path().contains("/blobs/") {
            true => honest.behind(&held),
            false => honest,
        });
        let process = Process::start(binary(self.directory.path()).args(["sync", "config.yml"]).args(args));
        gate.wait_for(1).await;
        (process, gate)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_copies_all_jobs_and_says_what_it_did() {
    let site = Fixture::new().await;
    let first = site.sync(0, &[]);
    for line in [
        "copy/app:1.0 copied: sha256:",
        "up/tool:2.0 copied: sha256:",
        "job apps: 2 images copied, 0 here already",
    ] {
        assert!(first.stdout.contains(line), "{line}: {first:?}");
    }
    assert_eq!(site.tags(), ["copy/app:1.0", "copy/app:2.0", "up/tool:1.0", "up/tool:2.0"]);
    site.upstream.requests();
    let second = site.sync(0, &[]);
    assert!(second.stdout.contains("job tools: 0 images copied, 2 here already"), "{second:?}");
    let asked = site.upstream.requests();
    assert!(!asked.iter().any(|request| request.contains("GET /v2/app/manifests")), "{asked:?}");
    assert!(!asked.iter().any(|request| request.contains("/blobs/")), "{asked:?}");
    let image = site.upstream.image("app", "1.0", &[b"moved"]);
    let third = site.sync(0, &[]);
    let line = format!("copy/app:1.0 copied: {}, before sha256:", image.digest);
    assert!(third.stdout.contains(&line), "{line} {third:?}");
    // One record is left of three runs.
    assert!(site.record(2).exists() && !site.record(1).exists() && !site.record(0).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_jobs_run_and_an_unknown_one_is_a_mistake() {
    let site = Fixture::new().await;
    let wrong = site.sync(2, &["--job", "apps", "--job", "other"]);
    assert!(wrong.stderr.contains("--job other") && wrong.stderr.contains("apps, tools"), "{wrong:?}");
    assert_eq!(site.upstream.requests(), [""; 0]);
    site.sync(0, &["--job", "apps"]);
    assert_eq!(site.tags(), ["copy/app:1.0", "copy/app:2.0"]);
    site.write("");
    let none = site.sync(1, &[]);
    assert!(none.stderr.contains("`sync` has no job"), "{none:?}");
    let unknown = site.sync(2, &["--job", "apps"]);
    assert!(unknown.stderr.contains("no such job"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_would_do() {
    let site = Fixture::new().await;
    site.make_store();
    let nothing = site.files();
    let shown = site.sync(0, &["--dry-run"]);
    assert!(shown.stdout.contains("copy/app:1.0 would be copied: sha256:"), "{shown:?}");
    assert!(shown.stdout.contains("job apps: 2 images would be copied, 0 here already"), "{shown:?}");
    assert_eq!(site.files(), nothing);
    let asked = site.upstream.requests();
    assert!(!asked.iter().any(|request| request.contains("/blobs/") || request.starts_with("GET /v2/app/m")));
    site.sync(0, &["--job", "apps"]);
    let files = site.files();
    let shown = site.sync(0, &["--dry-run", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown[0]["report"]["copied"], &shown[0]["report"]["unchanged"]), (&json!(0), &json!(2)));
    assert_eq!((&shown[1]["report"]["copied"], &shown[1]["tags"][0]["before"]), (&json!(2), &Value::Null));
    assert_eq!(site.files(), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_prints_only_errors_and_progress_may_be_json() {
    let site = Fixture::new().await;
    let image = site.upstream.image("app", "1.5", &[b"three"]);
    site.upstream.lose_blob("app", &image.blobs[1]);
    let quiet = site.sync(3, &["--quiet"]);
    assert_eq!(quiet.stdout, "");
    assert!(quiet.stderr.starts_with("copy/app:1.5: ") && quiet.stderr.lines().count() == 1, "{quiet:?}");
    let shown = site.sync(0, &["--job", "tools", "--progress", "json"]);
    assert!(shown.stdout.contains("job tools: 0 images copied, 2 here already"), "{shown:?}");
    let last: Value = serde_json::from_str(shown.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["images"]), (&json!("progress"), &json!(2)), "{shown:?}");
    let shown = site.sync(0, &["--dry-run", "--job", "tools", "--progress", "json"]);
    assert_eq!(shown.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_json_if_wanted() {
    let site = Fixture::new().await;
    let image = site.upstream.image("tool", "3.0", &[b"three"]);
    site.upstream.lose_blob("tool", &image.blobs[1]);
    let shown = site.sync(3, &["--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown[0]["job"], &shown[1]["job"]), (&json!("apps"), &json!("tools")));
    assert_eq!(shown[0]["report"]["copied"], 2);
    assert_eq!(shown[0]["tags"][1]["repository"], "copy/app");
    let failures = &shown[1]["report"]["failures"];
    assert_eq!((&failures[0]["image"], &failures[1]), (&json!("up/tool:3.0"), &Value::Null), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_is_an_exit_code_of_its_own() {
    let site = Fixture::new().await;
    let image = site.upstream.image("app", "1.5", &[b"three"]);
    site.upstream.lose_blob("app", &image.blobs[1]);
    let shown = site.sync(3, &[]);
    assert!(shown.stderr.contains("copy/app:1.5: "), "{shown:?}");
    assert!(shown.stdout.contains("job apps: 2 images copied, 0 here already"), "{shown:?}");
    assert!(shown.stdout.contains("1 failed"), "{shown:?}");
    assert_eq!(site.tags(), ["copy/app:1.0", "copy/app:2.0", "up/tool:1.0", "up/tool:2.0"]);
    site.upstream.answer_all(crate::support::hostile_server::Reply::broken());
    let stopped = site.sync(3, &["--job", "tools"]);
    assert!(stopped.stderr.contains("job tools stopped: upstream up "), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_needs_no_store() {
    let site = Fixture::new().await;
    let shown = site.sync(0, &["--dry-run"]);
    assert!(shown.stdout.contains("copy/app:1.0 would be copied: sha256:"), "{shown:?}");
    assert_eq!(site.files(), Vec::<String>::new());
    // Nor one with an image: a first run that failed has left its record alone.
    site.leave_record(6 * 60);
    let shown = site.sync(0, &["--dry-run"]);
    assert_eq!(shown.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_another_process_runs_is_refused() {
    let site = Fixture::new().await;
    site.make_store();
    let (mut process, gate) = site.held(&[]).await;
    let refused = site.sync(3, &["--job", "apps"]);
    assert!(refused.stderr.contains("job apps is run by another process"), "{refused:?}");
    // Another job, and a dry run, are no trouble.
    site.sync(0, &["--job", "apps", "--dry-run"]);
    gate.open_for_all();
    assert!(process.wait().success());
    assert_eq!(site.tags().len(), 4);
    site.sync(0, &["--job", "apps"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_is_taken_over_when_it_is_silent() {
    let site = Fixture::new().await;
    site.leave_record(60);
    let refused = site.sync(3, &["--job", "apps"]);
    assert!(refused.stderr.contains("was killed: it can be run in 2"), "{refused:?}");
    site.leave_record(6 * 60);
    site.sync(0, &["--job", "apps"]);
    assert_eq!(site.tags().len(), 2);
    assert!(site.record(1).exists() && !site.record(0).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_command_and_its_record_says_so() {
    for signal in ["INT", "TERM"] {
        let site = Fixture::new().await;
        let (mut process, gate) = site.held(&[]).await;
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(3), "{}", process.log());
        process.wait_to_say("interrupted");
        assert_eq!(site.tags(), [""; 0]);
        let record = site.read_record(0);
        assert!(record["ended_ms"].is_u64(), "{record}");
        assert!(record["result"]["stopped"].as_str().unwrap().contains("interrupted"), "{record}");
        gate.open_for_all();
        // It does not count as killed.
        site.sync(0, &[]);
        assert_eq!(site.tags().len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_and_one_that_is_read_only_are_refused() {
    let site = Fixture::new().await;
    site.make_store();
    let config = site.config(JOBS);
    let memory = config.split("storage:").next().unwrap().to_owned()
        + "storage: inmemory\nhttp: {addr: '127.0.0.1:0'}\nproxy:"
        + config.split("proxy:").nth(1).unwrap();
    fs::write(site.path("config.yml"), memory).unwrap();
    let refused = site.sync(1, &[]);
    assert!(refused.stderr.contains("memory"), "{refused:?}");
    let readonly = config.replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::write(site.path("config.yml"), readonly).unwrap();
    let refused = site.sync(1, &[]);
    assert!(refused.stderr.contains("read-only") || refused.stderr.contains("readonly"), "{refused:?}");
    site.sync(0, &["--dry-run"]);
    assert_eq!(site.tags(), [""; 0]);
}
