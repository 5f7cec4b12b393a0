//! `Job`: which images are copied from an upstream, and where to.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use sampan_bundle::is_fallback_tag;
use sampan_cache::TagRule;
use sampan_engine::JobName;
use sampan_engine::oci::{InvalidName, RepositoryName, Tag, version_of};
use sampan_transfer::Platform;

/// A rule for names of repositories.
pub type NameRule = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Images that are copied from an upstream.
#[derive(Clone, Debug)]
pub struct Job {
    /// The name, for the log, reports and metrics.
    pub name: JobName,
    /// The upstream's name in the configuration.
    pub upstream: String,
    /// The number of pulls left at the upstream at which a run stops, if the upstream says how many it allows.
    pub reserve: u64,
    /// Its repositories.
    pub repositories: Vec<JobRepository>,
}

/// A repository of an upstream, or those that match a pattern.
#[derive(Clone)]
pub struct JobRepository {
    /// Which repositories, by their names there.
    pub wants: NameRule,
    /// The leading components of the names that have no pattern; the whole name if there is none.
    pub fixed: String,
    /// Whether there is no pattern.
    pub is_exact: bool,
    /// The replacement of `fixed` in the names here; `None` puts the images into the cache itself.
    pub to: Option<RepositoryName>,
    /// Which tags.
    pub tags: TagChoice,
    /// The platforms to copy of an index; empty means all.
    pub platforms: Vec<Platform>,
    /// Whether signatures, SBOMs and other attached manifests are copied too.
    pub referrers: bool,
    /// Whether to remove tags that the upstream no longer has.
    pub prune: bool,
}

/// Which tags of a repository.
#[derive(Clone)]
pub struct TagChoice {
    /// A rule for each.
    pub wants: TagRule,
    /// The number of newest versions to copy; `None` for all.
    pub newest: Option<usize>,
}

/// No tag is a version, so that there is no newest one.
pub(crate) struct NoVersions;

impl JobRepository {
    /// The name here of a repository, in the place of the pattern's fixed part.
    pub(crate) fn target(&self, name: &str) -> Result<Option<RepositoryName>, InvalidName> {
        let Some(to) = &self.to else { return Ok(None) };
        match name.strip_prefix(&self.fixed).map(|rest| rest.trim_start_matches('/')) {
            Some("") => Ok(Some(to.clone())),
            Some(rest) => format!("{to}/{rest}").parse().map(Some),
            None => format!("{to}/{name}").parse().map(Some),
        }
    }
}

impl TagChoice {
    /// The selected tags of `all`. Tags that attach something to an image are copied with the image.
    pub(crate) fn of(&self, all: &[Tag]) -> Result<Vec<Tag>, NoVersions> {
        let wanted = all.iter().filter(|tag| !is_fallback_tag(tag) && (self.wants)(tag));
        let mut wanted: Vec<Tag> = wanted.cloned().collect();
        let Some(newest) = self.newest else { return Ok(wanted) };
        let mut versions: Vec<_> =
            wanted.iter().filter_map(|tag| Some((version_of(tag.as_str())?, tag.clone()))).collect();
        if versions.is_empty() && !wanted.is_empty() {
            return Err(NoVersions);
        }
        versions.sort_by(|one, other| other.cmp(one));
        let kept: HashSet<Tag> = versions.into_iter().take(newest).map(|(_, tag)| tag).collect();
        wanted.retain(|tag| kept.contains(tag));
        Ok(wanted)
    }
}

impl fmt::Debug for JobRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRepository")
            .field("fixed", &self.fixed)
            .field("is_exact", &self.is_exact)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(fixed: &str, to: Option<&str>) -> JobRepository {
        JobRepository {
            wants: Arc::new(|_| true),
            fixed: fixed.to_owned(),
            is_exact: false,
            to: to.map(|to| to.parse().unwrap()),
            tags: TagChoice { wants: Arc::new(|_| true), newest: None },
            platforms: Vec::new(),
            referrers: true,
            prune: false,
        }
    }

    #[test]
    fn the_fixed_part_of_a_name_is_replaced() {
        for (fixed, to, name, expected) in [
            ("library/debian", Some("base/debian"), "library/debian", Some("base/debian")),
            ("library", Some("base"), "library/debian", Some("base/debian")),
            ("a", Some("b"), "a/c/d", Some("b/c/d")),
            ("", Some("all"), "x/y", Some("all/x/y")),
            ("library", None, "library/debian", None),
        ] {
            let target = repository(fixed, to).target(name).unwrap().map(|name| name.to_string());
            assert_eq!(target.as_deref(), expected, "{fixed} {name}");
        }
        assert!(repository("", Some("all")).target(&"x/".repeat(300)).is_err());
    }

    fn chosen(newest: Option<usize>, all: &[&str]) -> Option<Vec<String>> {
        let all: Vec<Tag> = all.iter().map(|tag| tag.parse().unwrap()).collect();
        let choice = TagChoice { wants: Arc::new(|tag: &Tag| tag.as_str() != "latest"), newest };
        let chosen = choice.of(&all).ok()?;
        Some(chosen.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_newest_versions_are_chosen_and_attached_tags_are_not() {
        let signature = format!("sha256-{}.sig", "a".repeat(64));
        let all = ["1.9", "1.10", "2.0-rc.1", "edge", "latest", signature.as_str()];
        assert_eq!(chosen(None, &all).unwrap(), ["1.9", "1.10", "2.0-rc.1", "edge"]);
        assert_eq!(chosen(Some(2), &all).unwrap(), ["1.10", "2.0-rc.1"]);
        assert_eq!(chosen(Some(1), &["edge"]), None);
        assert_eq!(chosen(Some(1), &["latest"]).unwrap(), Vec::<String>::new());
    }
}
