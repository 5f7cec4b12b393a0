//! Makes the jobs that copy from other registries from the configuration.

use std::sync::Arc;

use sampan_cache::{Caches, TagRule};
use sampan_config::{Config, SyncJob, SyncRepository, SyncTags};
use sampan_engine::Registry;
use sampan_engine::oci::{Tag, version_of};
use sampan_sync::{Job, JobRepository, TagChoice};

use super::AppError;
use crate::auth::{PolicyTooLarge, name_matcher};
use crate::maintenance::{Schedule, Syncer};

/// Why the jobs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SyncSetupError {
    /// Patterns.
    #[error(transparent)]
    Patterns(#[from] PolicyTooLarge),
    /// A name or a platform.
    #[error("job {job}: {problem}")]
    Name {
        /// The job's name.
        job: String,
        /// The fault.
        problem: String,
    },
}

/// The jobs of `config`, each with its schedule.
///
/// # Errors
///
/// A pattern or a name cannot be used.
pub fn jobs(config: &Config) -> Result<Vec<(Job, Schedule)>, AppError> {
    config.sync.iter().map(|entry| job(entry).map_err(AppError::from)).collect()
}

/// Makes the [`Syncer`] of the configured jobs; `None` without jobs.
pub(super) fn syncer(
    config: &Config,
    registry: &Registry,
    caches: Option<&Caches>,
) -> Result<Option<Arc<Syncer>>, AppError> {
    let jobs = jobs(config)?;
    let caches = caches.filter(|_| !jobs.is_empty());
    Ok(caches.map(|caches| Arc::new(Syncer::new(registry.clone(), caches.clone(), jobs))))
}

fn job(entry: &SyncJob) -> Result<(Job, Schedule), SyncSetupError> {
    let wrong = |problem: String| SyncSetupError::Name { job: entry.name.clone(), problem };
    let repositories = entry.repositories.iter().map(|repository| one(entry, repository));
    let job = Job {
        name: entry.name.parse().map_err(|error| wrong(format!("{error}")))?,
        upstream: entry.from.clone(),
        reserve: entry.reserve,
        repositories: repositories.collect::<Result<_, _>>()?,
    };
    Ok((job, Schedule { interval: entry.interval, window: entry.window }))
}

fn one(job: &SyncJob, repository: &SyncRepository) -> Result<JobRepository, SyncSetupError> {
    let wrong = |problem: String| SyncSetupError::Name { job: job.name.clone(), problem };
    let platforms = repository.platforms.iter();
    let platforms = platforms.map(|text| text.parse().map_err(|error| wrong(format!("{error}"))));
    let to = repository.to.as_ref().map(|to| to.parse().map_err(|error| wrong(format!("{error}"))));
    Ok(JobRepository {
        wants: Arc::new(name_matcher(std::slice::from_ref(&repository.from))?),
        fixed: repository.from.fixed().to_owned(),
        is_exact: repository.from.is_exact(),
        to: to.transpose()?,
        tags: TagChoice { wants: rule(repository.tags.clone()), newest: repository.tags.newest },
        platforms: platforms.collect::<Result<_, _>>()?,
        referrers: repository.referrers,
        prune: repository.prune,
    })
}

/// A tag has to fit all keys.
fn rule(tags: SyncTags) -> TagRule {
    Arc::new(move |tag: &Tag| {
        let fits = |pattern: &sampan_config::Pattern| pattern.as_regex().is_match(tag.as_str());
        let is_in_range = || match &tags.semver {
            Some(range) => version_of(tag.as_str()).is_some_and(|version| range.as_req().matches(&version)),
            None => true,
        };
        (tags.allow.is_empty() || tags.allow.iter().any(fits)) && !tags.deny.iter().any(fits) && is_in_range()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration has rules of its own for what the engine and copies parse again.
    #[test]
    fn whatever_the_configuration_accepts_makes_a_job() {
        for (name, to, platform) in [
            ("0._-a", "a", "linux/amd64"),
            (&*"a".repeat(64), &*format!("{}aaa", "a/".repeat(126)), "linux/arm64/v8"),
            ("a", "a__b/c---d.e", "w.x_y-z/1"),
        ] {
            let text = format!(
                "version: 0.1\nstorage: inmemory\nproxy: {{upstreams: [{{name: up, url: 'https://up.example'}}]}}\n\
                 sync: [{{name: {name}, from: up, repositories: [{{from: x, to: {to}, platforms: [{platform}]}}]}}]\n"
            );
            let source = sampan_config::Source::Text { name: "config.yml".to_owned(), text };
            let loaded = Config::load(source, &sampan_config::Environment::default()).unwrap();
            assert_eq!(jobs(&loaded.config).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_tag_has_to_fit_all_keys() {
        let wants = rule(SyncTags {
            allow: vec!["^1".parse().unwrap(), "^2".parse().unwrap()],
            deny: vec!["-slim$".parse().unwrap()],
            semver: Some(">=1.5".parse().unwrap()),
            newest: None,
        });
        let all = ["1.4", "1.5", "1.5-slim", "2.0", "3.0", "latest"];
        let wanted: Vec<&str> = all.into_iter().filter(|tag| wants(&tag.parse().unwrap())).collect();
        assert_eq!(wanted, ["1.5", "2.0"]);
        let all_tags = rule(SyncTags { allow: vec![], deny: vec![], semver: None, newest: None });
        assert!(all_tags(&"latest".parse().unwrap()));
    }
}
