//! `run`: copies the images of a job, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sampan_bundle::ContentKind;
use sampan_cache::Caches;
use sampan_engine::Registry;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use sampan_transfer::{
    ExportOptions, ImportOptions, Live, Progress, Renames, Selector, TagPolicy, Target, import, plan,
};
use tokio::sync::OnceCell;

use crate::error::{Failed, Stop};
use crate::job::{Job, JobRepository, NoVersions};
use crate::prune::prune;
use crate::report::JobReport;
use crate::source::UpstreamSource;
use crate::target::CopyTarget;

/// How a run proceeds.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Only compares the tags; no manifest and no blob is read.
    pub dry_run: bool,
    /// How many blobs are copied at a time; at least one.
    pub jobs: usize,
    /// The longest manifest, in bytes.
    pub max_manifest_bytes: u64,
}

/// A tag that a run sets, or would set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The repository here.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The digest at the upstream.
    pub to: Digest,
    /// The digest here before; `None` if there was no such tag.
    pub from: Option<Digest>,
}

/// A run, for another thread to watch. What a run that is dropped has done stays in it.
#[derive(Debug, Default)]
pub struct Running {
    /// Plain mutexes: held to read or update, never across an await.
    report: Mutex<JobReport>,
    image: Mutex<Option<String>>,
}

impl Running {
    /// What the run has done so far.
    pub fn report(&self) -> JobReport {
        self.report.lock().clone()
    }

    /// The image or repository that is looked at now, by its name here.
    pub fn now(&self) -> Option<String> {
        self.image.lock().clone()
    }

    /// Notes that the run was stopped before its end, and when the next may begin, if that is known.
    pub fn stop(&self, reason: String, retry_after: Option<Duration>) {
        let mut report = self.report.lock();
        report.stopped.get_or_insert(reason);
        report.retry_after_secs = retry_after.map(|wait| wait.as_secs());
    }

    fn begin(&self, image: String) {
        *self.image.lock() = Some(image);
    }
}

/// Copies the images of a job that the store lacks. `tell` hears of each tag that moves. A run may be dropped at any time.
///
/// What failed is in the report of `running`; `stopped` says why a run did not come to its end.
pub async fn run(
    job: &Job,
    caches: &Caches,
    registry: &Registry,
    options: RunOptions,
    running: &Running,
    tell: &(dyn Fn(&Change) + Send + Sync),
) {
    let run = Run {
        job,
        caches,
        registry,
        options,
        running,
        tell,
        target: Arc::new(CopyTarget::new(registry.clone())),
        unclear: Mutex::default(),
        origins: Mutex::default(),
        catalog: OnceCell::new(),
    };
    let mut stopped = None;
    for entry in &job.repositories {
        let copied = run.entry(entry).await;
        if let Err(stop) = run.settle(|| run.place(entry, &entry.fixed), copied) {
            stopped = Some(stop);
            break;
        }
    }
    // No later image has shown that the upstream is there.
    let away = || run.unclear.lock().last.take().map(|reason| Stop { reason, retry_after: None });
    if let Some(Stop { reason, retry_after }) = stopped.or_else(away) {
        let mut report = running.report.lock();
        report.stopped = Some(reason);
        report.retry_after_secs = retry_after.map(|wait| wait.as_secs());
    }
    *running.image.lock() = None;
}

struct Run<'a> {
    job: &'a Job,
    caches: &'a Caches,
    registry: &'a Registry,
    options: RunOptions,
    running: &'a Running,
    tell: &'a (dyn Fn(&Change) + Send + Sync),
    target: Arc<CopyTarget>,
    /// A plain mutex: held to read or update.
    unclear: Mutex<Unclear>,
    /// The repository of the upstream that each ordinary one is copied from. The same.
    origins: Mutex<HashMap<RepositoryName, String>>,
    /// The repositories of the upstream, for patterns.
    catalog: OnceCell<Option<Vec<String>>>,
}

/// The failures since the last image that was copied which may be the upstream's.
#[derive(Debug, Default)]
struct Unclear {
    count: usize,
    /// The reason of the last one, if it may pass by itself.
    last: Option<String>,
}

/// So many such failures in a row are the upstream's.
const MAX_UNCLEAR: usize = 3;

impl Run<'_> {
    /// Notes what an image or a repository came to, and returns whether it was copied.
    ///
    /// # Errors
    ///
    /// The rest of the run would fail too.
    fn settle(&self, place: impl FnOnce() -> String, copied: Result<(), Failed>) -> Result<bool, Stop> {
        let (problem, is_passing) = match copied {
            Ok(()) => return Ok(true),
            Err(Failed::All(stop)) => return Err(stop),
            Err(Failed::One(problem)) => {
                self.fail(place(), problem);
                return Ok(false);
            }
            Err(Failed::Unclear { reason, is_passing }) => (reason, is_passing),
        };
        self.fail(place(), problem.clone());
        let mut unclear = self.unclear.lock();
        unclear.count += 1;
        unclear.last = is_passing.then(|| problem.clone());
        match unclear.count < MAX_UNCLEAR {
            true => Ok(false),
            false => Err(Stop { reason: problem, retry_after: None }),
        }
    }

    /// How a report names a repository, by its name at the upstream: as it is here.
    fn place(&self, entry: &JobRepository, name: &str) -> String {
        let upstream = &self.job.upstream;
        let here = match entry.target(name) {
            Ok(None) => self.caches.of_upstream(upstream, name).ok().flatten(),
            Ok(Some(target)) => return target.to_string(),
            Err(_) => None,
        };
        match here {
            Some(cached) => cached.stored().to_string(),
            None => format!("{upstream}/{name}").trim_end_matches('/').to_owned(),
        }
    }

    async fn entry(&self, entry: &JobRepository) -> Result<(), Failed> {
        if entry.is_exact {
            return self.repository(entry, &entry.fixed).await;
        }
        let upstream = self.caches.upstream(&self.job.upstream);
        let upstream = upstream.ok_or_else(|| self.unknown_upstream())?;
        let catalog = self.catalog.get_or_try_init(|| self.caches.catalog_of(upstream)).await?;
        let catalog = catalog.as_ref().ok_or_else(|| {
            Failed::One("the upstream has no list of its repositories: name them without patterns".to_owned())
        })?;
        let mut names = catalog.iter().filter(|name| (entry.wants)(name)).peekable();
        if names.peek().is_none() {
            return Err(Failed::One("no repository of the upstream matches".to_owned()));
        }
        for name in names {
            let copied = self.repository(entry, name).await;
            self.settle(|| self.place(entry, name), copied)?;
        }
        Ok(())
    }

    /// Copies the chosen images of a repository, by its name at the upstream.
    async fn repository(&self, entry: &JobRepository, name: &str) -> Result<(), Failed> {
        let one = |error: &dyn std::error::Error| Failed::One(error.to_string());
        let cached = self.caches.of_upstream(&self.job.upstream, name).map_err(|error| one(&error))?;
        let cached = cached.ok_or_else(|| self.unknown_upstream())?;
        let target = entry.target(name).map_err(|error| one(&error))?;
        let in_cache = target.is_none();
        let target = target.unwrap_or_else(|| cached.stored().clone());
        let owner = self.caches.of_stored(&target);
        let owner = owner.as_ref().map(|owner| owner.upstream().name());
        if owner != in_cache.then_some(&*self.job.upstream) {
            // The prefix of another upstream may hide the name.
            return Err(Failed::One(format!(
                "{target} is a cache of an upstream: choose another place by `to`"
            )));
        }
        if !in_cache {
            // Each would move the tags of the other, and `prune` would remove them.
            let mut origins = self.origins.lock();
            let origin = origins.entry(target.clone()).or_insert_with(|| name.to_owned());
            if origin != name {
                return Err(Failed::One(format!(
                    "{target} has the images of {origin} already: give those of {name} another place by `to`"
                )));
            }
        }
        self.running.begin(target.to_string());
        self.running.report.lock().repositories += 1;
        let upstream = self.caches.past_cache(cached);
        let all = upstream.tags().await?;
        let all = all.ok_or_else(|| {
            Failed::One("the upstream has no such repository, or does not show it to this account".to_owned())
        })?;
        let chosen = entry.tags.of(&all).map_err(|NoVersions| {
            Failed::One("no tag is a version, so there is no newest one: choose tags otherwise".to_owned())
        })?;
        if chosen.is_empty() && entry.is_exact {
            return Err(Failed::One(format!("none of its {} tags is wanted by `tags`", all.len())));
        }
        let (registry, tags) = (self.registry.clone(), all.clone());
        let source = UpstreamSource::new(upstream, registry, target.clone(), tags, self.job.reserve);
        let source = Arc::new(source);
        let mut is_whole = true;
        for tag in &chosen {
            let image = format!("{target}:{tag}");
            self.running.begin(image.clone());
            let copied = self.image(entry, &source, &target, tag, in_cache).await;
            if copied.is_ok() {
                *self.unclear.lock() = Unclear::default();
            }
            is_whole &= self.settle(|| image, copied)?;
        }
        if entry.prune && is_whole && !self.options.dry_run {
            let removed = prune(&*self.target, &target, &all).await?;
            self.running.report.lock().removed_tags += removed;
        }
        Ok(())
    }

    async fn image(
        &self,
        entry: &JobRepository,
        source: &Arc<UpstreamSource>,
        target: &RepositoryName,
        tag: &Tag,
        in_cache: bool,
    ) -> Result<(), Failed> {
        let before = self.target.tag(target, tag).await?;
        if self.options.dry_run {
            let to = source.digest(tag).await?;
            let to =
                to.ok_or_else(|| Failed::One("the upstream lists it, and does not have it".to_owned()))?;
            self.count(before.as_ref() != Some(&to));
            self.tell(target, tag, before, &to);
            return Ok(());
        }
        source.begin_image();
        let selector: Selector =
            format!("{target}:{tag}").parse().map_err(|error| Failed::One(format!("{error}")))?;
        let options = ExportOptions {
            platforms: entry.platforms.clone(),
            referrers: entry.referrers,
            ..ExportOptions::of(vec![selector], "")
        };
        let planned = plan(&**source, &options).await?;
        let contents = planned.plan.contents.iter();
        let manifests = contents.filter(|content| content.kind == ContentKind::Manifest);
        let manifests: Vec<Digest> = manifests.map(|content| content.digest.clone()).collect();
        let live = Live::new(source.clone(), planned)?;
        let imported = import(&live, &*self.target, &self.import_options(), &Progress::default()).await?;
        {
            let mut report = self.running.report.lock();
            report.blobs += imported.stored_blobs;
            report.bytes += imported.stored_bytes;
        }
        self.count(imported.imported > 0);
        if in_cache {
            // What a job keeps here is not forgotten as unused.
            let repository = self.registry.repository(target.clone());
            manifests.iter().for_each(|digest| repository.note_used(digest));
        }
        if let Some(to) = self.target.tag(target, tag).await? {
            self.tell(target, tag, before, &to);
        }
        Ok(())
    }

    fn import_options(&self) -> ImportOptions {
        ImportOptions {
            only: Vec::new(),
            renames: Renames::new(Vec::new()),
            tags: TagPolicy::Move,
            keep_going: false,
            jobs: self.options.jobs.max(1),
            dry_run: false,
            receipt: false,
            find_missing: false,
            free_bytes: None,
            max_manifest_bytes: self.options.max_manifest_bytes,
        }
    }

    fn count(&self, is_copied: bool) {
        let mut report = self.running.report.lock();
        match is_copied {
            true => report.copied += 1,
            false => report.unchanged += 1,
        }
    }

    fn tell(&self, repository: &RepositoryName, tag: &Tag, from: Option<Digest>, to: &Digest) {
        if from.as_ref() != Some(to) {
            let (repository, tag, to) = (repository.clone(), tag.clone(), to.clone());
            (self.tell)(&Change { repository, tag, to, from });
        }
    }

    fn fail(&self, image: String, problem: String) {
        tracing::debug!(job = %self.job.name, %image, %problem, "job {}: {image} was not copied: {problem}", self.job.name);
        self.running.report.lock().fail(image, problem);
    }

    fn unknown_upstream(&self) -> Failed {
        let reason = format!("there is no upstream {}", self.job.upstream);
        Failed::All(Stop { reason, retry_after: None })
    }
}
