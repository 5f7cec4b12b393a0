//! Jobs, and a run of one.

use std::sync::{Arc, Mutex};

use sampan_engine::oci::{Digest, Tag};
use sampan_sync::{Change, Job, JobFailure, JobReport, JobRepository, RunOptions, Running, TagChoice, run};

use crate::cache::support::World;
use crate::support::Server;

/// A job of the upstream `up`.
pub(super) fn job(repositories: Vec<JobRepository>) -> Job {
    Job { name: "job".parse().unwrap(), upstream: "up".to_owned(), reserve: 0, repositories }
}

/// All tags of a repository with what is attached, into `to` or the cache.
pub(super) fn entry(from: &'static str, to: Option<&str>) -> JobRepository {
    JobRepository {
        wants: Arc::new(move |name| name == from),
        fixed: from.to_owned(),
        is_exact: true,
        to: to.map(|to| to.parse().unwrap()),
        tags: TagChoice { wants: Arc::new(|_| true), newest: None },
        platforms: Vec::new(),
        referrers: true,
        prune: false,
    }
}

/// All tags of `app`, copied to `copy`.
pub(super) fn copy_of_app() -> Job {
    job(vec![entry("app", Some("copy"))])
}

pub(super) fn options() -> RunOptions {
    RunOptions { dry_run: false, blobs_at_a_time: 3, max_manifest_bytes: 4 << 20 }
}

impl World {
    /// Runs a job to its end.
    pub(super) async fn sync(&self, job: &Job) -> JobReport {
        self.sync_by(job, options()).await.0
    }

    /// The same with options; returns the tags that it told of, too.
    pub(super) async fn sync_by(&self, job: &Job, options: RunOptions) -> (JobReport, Vec<Change>) {
        let (running, changes) = (Running::default(), Mutex::new(Vec::new()));
        let tell = |change: &Change| changes.lock().unwrap().push(change.clone());
        run(job, &self.caches, &self.server.registry, options, &running, &tell).await;
        assert_eq!(running.now(), None);
        (running.report(), changes.into_inner().unwrap())
    }

    /// The same; fails the test unless everything is here afterwards.
    #[track_caller]
    pub(super) fn whole(&self, job: &Job) -> impl Future<Output = JobReport> {
        let place = std::panic::Location::caller();
        async move {
            let report = self.sync(job).await;
            assert!(report.is_whole(), "{place}: {report:?}");
            report
        }
    }

    /// The digest of a tag here; `None` if it is not here.
    pub(super) async fn tag(&self, name: &str, tag: &str) -> Option<String> {
        let answer = self.server.call("HEAD", format!("/v2/{name}/manifests/{tag}")).send().await;
        (answer.status == 200).then(|| answer.header("docker-content-digest").to_owned())
    }

    /// Whether a client gets a blob of a repository here.
    pub(super) async fn has_blob(&self, name: &str, digest: &Digest) -> bool {
        let answer = self.server.call("GET", format!("/v2/{name}/blobs/{digest}")).send().await;
        if answer.status == 200 {
            assert_eq!(Digest::sha256_of(&answer.body), *digest);
        }
        answer.status == 200
    }

    /// Fails the test unless a client can pull all of an image here, without the upstream.
    pub(super) async fn assert_pullable(&self, name: &str, reference: &str) {
        self.caches.set_offline(true);
        pull(&self.server, name, reference, &[]).await;
        self.caches.set_offline(false);
    }
}

/// Pulls everything below a manifest except `left_out`, and returns its digest.
pub(super) async fn pull(server: &Server, name: &str, reference: &str, left_out: &[&Digest]) -> Digest {
    let mut manifests = vec![reference.to_owned()];
    let mut root = None;
    while let Some(reference) = manifests.pop() {
        let answer = server.call("GET", format!("/v2/{name}/manifests/{reference}")).send().await.expect(200);
        let digest = Digest::sha256_of(&answer.body);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        root.get_or_insert(digest);
        let manifest = answer.json();
        let listed = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
        for child in listed("manifests") {
            let child: Digest = child["digest"].as_str().unwrap().parse().unwrap();
            if !left_out.contains(&&child) {
                manifests.push(child.to_string());
            }
        }
        let config = manifest.get("config").cloned();
        for blob in config.into_iter().chain(listed("layers")) {
            let blob = blob["digest"].as_str().unwrap();
            let answer = server.call("GET", format!("/v2/{name}/blobs/{blob}")).send().await.expect(200);
            assert_eq!(Digest::sha256_of(&answer.body).to_string(), blob);
        }
    }
    root.unwrap()
}

/// The failures of a report, as `image: problem`.
pub(super) fn failures(report: &JobReport) -> Vec<String> {
    report.failures.iter().map(|JobFailure { image, problem }| format!("{image}: {problem}")).collect()
}

/// How cosign names a signature.
pub(super) fn signature_tag(digest: &Digest) -> String {
    format!("{}.sig", digest.to_string().replace(':', "-"))
}

/// Only tags that begin so.
pub(super) fn tags_with(prefix: &'static str) -> TagChoice {
    TagChoice { wants: Arc::new(move |tag: &Tag| tag.as_str().starts_with(prefix)), newest: None }
}
