//! The checks of `sync` across keys.

use std::collections::HashMap;
use std::time::Duration;

use super::{SyncJob, SyncRepository};
use crate::findings::Findings;
use crate::proxy::LocatedUpstream;
use crate::{Config, ProxyConfig, suggest};

/// The longest name of a job, in bytes: a file of the store is called by it.
const MAX_NAME: usize = 64;

/// Checks what no single key can say.
pub(crate) fn check(config: &Config, found: &mut Findings<'_>) {
    if config.sync.is_empty() {
        return;
    }
    let upstreams = config.proxy.as_ref().map(ProxyConfig::located_upstreams).unwrap_or_default();
    let mut names = HashMap::new();
    let mut targets = HashMap::new();
    for (index, job) in config.sync.iter().enumerate() {
        let path = format!("sync[{index}]");
        job.check(&path, found);
        if let Some(first) = names.insert(&job.name, index) {
            let first = found.place(&format!("sync[{first}].name"));
            let message =
                format!("`{}` is the name of another job, too ({first}): give each its own", job.name);
            found.mistake(&format!("{path}.name"), message);
        }
        let upstream = upstreams.iter().find(|upstream| upstream.config.name == job.from);
        if upstream.is_none() {
            job.check_upstream(&path, config.proxy.as_ref(), found);
        }
        for (index, repository) in job.repositories.iter().enumerate() {
            let path = format!("{path}.repositories[{index}]");
            let context = Context { path: &path, config, upstream, upstreams: &upstreams };
            repository.check(&context, found);
            if let Some(target) = Target::of(job, repository, &context) {
                let first = targets.entry(target.to).or_insert_with(|| target.clone());
                first.compare(&target, found);
            }
        }
    }
    let readonly = "storage.maintenance.readonly.enabled";
    if config.storage.maintenance.readonly.enabled {
        let message =
            format!("the jobs store nothing, since `{readonly}` is true ({})", found.place(readonly));
        found.warning("sync", message);
    }
}

/// The context of a repository, for its check.
pub(super) struct Context<'a> {
    /// The path of the entry, such as `sync[0].repositories[0]`.
    pub(super) path: &'a str,
    pub(super) config: &'a Config,
    /// The upstream of the job, unless it has mistakes of its own.
    pub(super) upstream: Option<&'a LocatedUpstream>,
    pub(super) upstreams: &'a [LocatedUpstream],
}

impl SyncJob {
    fn check(&self, path: &str, found: &mut Findings<'_>) {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_plain = |c: char| is_word(c) || "-_.".contains(c);
        if !self.name.starts_with(is_word) || !self.name.chars().all(is_plain) || self.name.len() > MAX_NAME {
            let message = format!(
                "must be lower-case letters, digits, `-`, `_` and `.`, {MAX_NAME} at most, with a letter or digit first"
            );
            found.mistake(&format!("{path}.name"), message);
        }
        if self.interval < Duration::from_secs(60) {
            let message = "must be `1m` or more: each run asks the upstream for every tag";
            found.mistake(&format!("{path}.interval"), message);
        }
        if self.repositories.is_empty() {
            let message = "names no repository; write one such as `- from: library/debian`";
            found.mistake(&format!("{path}.repositories"), message);
        }
    }

    /// The mistake of a job whose upstream is not known, unless a mistake of the upstream's is the reason.
    fn check_upstream(&self, path: &str, proxy: Option<&ProxyConfig>, found: &mut Findings<'_>) {
        let from = &self.from;
        let Some(proxy) = proxy.filter(|proxy| proxy.is_cache()) else {
            let message =
                format!("there is no upstream `{from}`: `proxy.upstreams` has to name the registry");
            found.mistake(&format!("{path}.from"), message);
            return;
        };
        let remote = proxy.remoteurl.as_ref().map(|_| ProxyConfig::REMOTE);
        let names = proxy.upstreams.iter().filter_map(|upstream| upstream.name.as_deref());
        let names: Vec<&str> = names.chain(remote).collect();
        if !names.is_empty() && !names.contains(&from.as_str()) {
            let hint = suggest::hint(from, names);
            found.mistake(&format!("{path}.from"), format!("`{from}` is the name of no upstream{hint}"));
        }
    }
}

/// An ordinary repository that is filled from one other.
#[derive(Clone)]
struct Target<'a> {
    to: &'a str,
    path: String,
    upstream: &'a str,
    /// The name there.
    from: String,
}

impl<'a> Target<'a> {
    fn of(job: &'a SyncJob, repository: &'a SyncRepository, context: &Context<'_>) -> Option<Self> {
        let to = repository.to.as_deref().filter(|_| repository.from.is_exact())?;
        let from = match context.upstream {
            Some(upstream) => upstream.config.name_there(repository.from.as_str()),
            None => repository.from.as_str().to_owned(),
        };
        Some(Self { to, path: format!("{}.to", context.path), upstream: &job.from, from })
    }

    /// Compares an entry with the first one that has the same `to`.
    fn compare(&self, later: &Self, found: &mut Findings<'_>) {
        if (self.upstream, &self.from) != (later.upstream, &later.from) {
            let message = format!(
                "`{}` is the place of `{}` of `{}`, too ({}): give each repository its own",
                self.to,
                self.from,
                self.upstream,
                found.place(&self.path)
            );
            found.mistake(&later.path, message);
        }
    }
}
