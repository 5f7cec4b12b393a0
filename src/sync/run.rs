//! `run`: copies the images of a job, one after the other.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};
use sampan_bundle::ContentKind;
use sampan_cache::{CachedName, Caches};
use sampan_engine::Registry;
use sampan_engine::oci::{Digest, RepositoryName, Tag};
use sampan_transfer::{
    ExportOptions, ImportOptions, LiveExport, Renames, Selector, TagPolicy, Target, import, plan,
};

use crate::error::{Failed, StopReason};
use crate::failure_budget::{AfterFailure, FailureBudget};
use crate::job::{Job, JobRepository, NoVersions};
use crate::prune::prune;
use crate::running::Running;
use crate::source::UpstreamSource;
use crate::target::{CopyTarget, RunTarget};

/// How a run proceeds.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Only compares the tags; no manifest and no blob is read.
    pub dry_run: bool,
    /// How many blobs are copied at a time; at least one.
    pub blobs_at_a_time: usize,
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

/// Copies the images of a job that the store lacks. `tell` hears of each tag that moves.
///
/// A run may be dropped at any time; then the store keeps what arrived of blobs that are not whole until the next purge of
/// uploads. [`Running::stop`] leaves nothing.
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
    let mut run = Run {
        job,
        caches,
        registry,
        options,
        running,
        tell,
        target: RunTarget::new(registry.clone()),
        patience: FailureBudget::default(),
        origins: HashMap::new(),
        catalog: None,
    };
    let is_stopped = {
        let entries = pin!(run.entries());
        match select(entries, pin!(running.stopping())).await {
            Either::Left((ended, _)) => {
                running.end(ended.err());
                false
            }
            Either::Right(_) => true,
        }
    };
    if is_stopped {
        run.target.flush().await;
        running.end(None);
    }
}

struct Run<'a> {
    job: &'a Job,
    caches: &'a Caches,
    registry: &'a Registry,
    options: RunOptions,
    running: &'a Running,
    tell: &'a (dyn Fn(&Change) + Send + Sync),
    target: RunTarget,
    patience: FailureBudget,
    /// The repository of the upstream that each ordinary one is copied from; at most as many as the configuration names or the
    /// catalog lists, which has a bound.
    origins: HashMap<RepositoryName, String>,
    /// The repositories of the upstream, for patterns.
    catalog: Option<Vec<String>>,
}

/// The repository here that receives a repository of the upstream.
struct RepositoryTarget {
    cached: CachedName,
    target: RepositoryName,
    /// Whether the target is the cache itself.
    in_cache: bool,
}

impl Run<'_> {
    /// Copies the repositories of all entries.
    ///
    /// # Errors
    ///
    /// The rest of the run would fail too, or the last images failed in a way that may pass.
    async fn entries(&mut self) -> Result<(), StopReason> {
        for entry in &self.job.repositories {
            self.entry(entry).await?;
        }
        match std::mem::take(&mut self.patience).end() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Copies the repositories of an entry.
    ///
    /// # Errors
    ///
    /// The rest of the run would fail too.
    async fn entry(&mut self, entry: &JobRepository) -> Result<(), StopReason> {
        self.wait_for_upstream().await;
        let names = match entry.is_exact {
            true => Ok(vec![entry.fixed.clone()]),
            false => self.matching(entry).await,
        };
        let names = match names {
            Ok(names) => names,
            Err(failed) => {
                self.fail(self.shown(entry, &entry.fixed), failed)?;
                return self.patience.end_repository();
            }
        };
        for name in names {
            self.wait_for_upstream().await;
            if let Err(failed) = self.repository(entry, &name).await {
                self.fail(self.shown(entry, &name), failed)?;
            }
            self.patience.end_repository()?;
        }
        Ok(())
    }

    /// Waits while the upstream is left alone: the last image may be what failed, and the next may be there.
    async fn wait_for_upstream(&self) {
        if let Some(upstream) = self.caches.upstream(&self.job.upstream) {
            upstream.wait_while_left_alone().await;
        }
    }

    /// The repositories of the upstream that match a pattern.
    async fn matching(&mut self, entry: &JobRepository) -> Result<Vec<String>, Failed> {
        if self.catalog.is_none() {
            let upstream = self.caches.upstream(&self.job.upstream).ok_or_else(|| self.unknown_upstream())?;
            self.catalog = self.caches.catalog_of(upstream).await?;
        }
        let catalog = self.catalog.as_ref().ok_or_else(|| {
            Failed::One("the upstream has no list of its repositories: name them without patterns".to_owned())
        })?;
        let names: Vec<String> = catalog.iter().filter(|name| (entry.wants)(name)).cloned().collect();
        match names.is_empty() {
            true => Err(Failed::One("no repository of the upstream matches".to_owned())),
            false => Ok(names),
        }
    }

    /// Copies the chosen images of a repository, by its name at the upstream.
    async fn repository(&mut self, entry: &JobRepository, name: &str) -> Result<(), Failed> {
        let RepositoryTarget { cached, target, in_cache } = self.place(entry, name)?;
        self.running.begin_repository(target.to_string());
        let upstream = self.caches.upstream_repository(cached);
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
        let copy = self.target.of(upstream.clone());
        let registry = self.registry.clone();
        let source = UpstreamSource::new(upstream, registry, target.clone(), &all, self.job.reserve);
        let source = Arc::new(source);
        let mut is_whole = true;
        for (number, tag) in chosen.iter().enumerate() {
            let image = format!("{target}:{tag}");
            self.running.begin_image(image.clone());
            self.wait_for_upstream().await;
            match self.image(entry, &source, &copy, &target, tag, in_cache).await {
                Ok(()) => self.patience.renew(),
                Err(failed) => {
                    is_whole = false;
                    let left = chosen.len() - number - 1;
                    if self.fail(image, failed)? == AfterFailure::Repository && left > 0 {
                        let problem =
                            format!("not tried, since several of its images failed in a row: {left} more");
                        self.running.fail(target.to_string(), problem);
                        break;
                    }
                }
            }
        }
        if entry.prune && is_whole && !self.options.dry_run {
            self.running.add_removed(prune(&copy, &target, &all).await?);
        }
        Ok(())
    }

    fn place(&mut self, entry: &JobRepository, name: &str) -> Result<RepositoryTarget, Failed> {
        let cached = self.caches.of_upstream(&self.job.upstream, name).map_err(Failed::one)?;
        let cached = cached.ok_or_else(|| self.unknown_upstream())?;
        let ordinary = entry.target(name).map_err(Failed::one)?;
        let in_cache = ordinary.is_none();
        let target = ordinary.unwrap_or_else(|| cached.stored().clone());
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
            let origin = self.origins.entry(target.clone()).or_insert_with(|| name.to_owned());
            if origin != name {
                return Err(Failed::One(format!(
                    "{target} has the images of {origin} already: give those of {name} another place by `to`"
                )));
            }
        }
        Ok(RepositoryTarget { cached, target, in_cache })
    }

    /// How a report names a repository, by its name at the upstream: as it is here.
    fn shown(&self, entry: &JobRepository, name: &str) -> String {
        let upstream = &self.job.upstream;
        let here = match entry.target(name) {
            Ok(None) => {
                let cached = self.caches.of_upstream(upstream, name).ok().flatten();
                cached.map(|cached| cached.stored().clone())
            }
            Ok(target) => target,
            Err(_) => None,
        };
        let there = || format!("{upstream}/{name}").trim_end_matches('/').to_owned();
        here.map_or_else(there, |here| here.to_string())
    }

    async fn image(
        &self,
        entry: &JobRepository,
        source: &Arc<UpstreamSource>,
        copy: &CopyTarget,
        target: &RepositoryName,
        tag: &Tag,
        in_cache: bool,
    ) -> Result<(), Failed> {
        let before = copy.tag(target, tag).await?;
        if self.options.dry_run {
            let to = source.digest(tag).await?;
            let to =
                to.ok_or_else(|| Failed::One("the upstream lists it, and does not have it".to_owned()))?;
            self.running.count(before.as_ref() != Some(&to));
            self.tell(target, tag, before, &to);
            return Ok(());
        }
        source.begin_image(tag);
        let selector: Selector = format!("{target}:{tag}").parse().map_err(Failed::one)?;
        let options = ExportOptions {
            platforms: entry.platforms.clone(),
            referrers: entry.referrers,
            ..ExportOptions::of(vec![selector], "")
        };
        let planned = plan(&**source, &options).await?;
        let contents = planned.plan.contents.iter();
        let manifests = contents.filter(|content| content.kind == ContentKind::Manifest);
        let manifests: Vec<Digest> = manifests.map(|content| content.digest.clone()).collect();
        let live = LiveExport::new(source.clone(), planned)?;
        let imported = import(&live, copy, &self.import_options(), self.running.progress()).await?;
        self.running.add(&imported);
        self.running.count(imported.imported > 0);
        if in_cache {
            // What a job keeps here is not forgotten as unused.
            let repository = self.registry.repository(target.clone());
            manifests.iter().for_each(|digest| repository.note_used(digest));
        }
        if let Some(to) = copy.tag(target, tag).await? {
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
            jobs: self.options.blobs_at_a_time.max(1),
            dry_run: false,
            receipt: false,
            find_missing: false,
            free_bytes: None,
            max_manifest_bytes: self.options.max_manifest_bytes,
        }
    }

    fn tell(&self, repository: &RepositoryName, tag: &Tag, from: Option<Digest>, to: &Digest) {
        if from.as_ref() != Some(to) {
            let (repository, tag, to) = (repository.clone(), tag.clone(), to.clone());
            (self.tell)(&Change { repository, tag, to, from });
        }
    }

    /// Notes what an image or a repository came to.
    ///
    /// # Errors
    ///
    /// The rest of the run would fail too.
    fn fail(&mut self, image: String, failed: Failed) -> Result<AfterFailure, StopReason> {
        match failed {
            Failed::One(problem) => {
                self.running.fail(image, problem);
                Ok(AfterFailure::Image)
            }
            Failed::Unclear { reason, is_passing } => {
                self.running.fail(image, reason.clone());
                Ok(self.patience.add_failure(reason, is_passing))
            }
            Failed::All(stop) => Err(stop),
        }
    }

    fn unknown_upstream(&self) -> Failed {
        StopReason::because(&format!("there is no upstream {}", self.job.upstream)).into()
    }
}
