//! `Survey`: what a walk over the store knows of each repository.
//!
//! A collection writes one at its end, and a registry may make one between collections. A survey is a hint, never proof: it is
//! as old as it says, and costs nothing but time when it is lost or damaged. It is a file of JSON lines, `sampan/survey`: a
//! header with the totals, then one line a repository.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, FileInfo, PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};

use crate::clock::{millis, time_of};
use crate::layout::Entry;
use crate::oci::RepositoryName;
use crate::{Error, Registry, Result};
use sampan_host::blocking::on_blocking_pool;

/// The figures of each repository, as a walk over the store found them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Survey {
    as_of: SystemTime,
    totals: SurveyTotals,
    /// In the order of their names.
    repositories: Vec<RepositorySurvey>,
}

/// A repository, and what a walk over the store found in it. The name is no permission to show it to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RepositorySurvey {
    /// The repository.
    pub name: RepositoryName,
    /// What was found.
    pub figures: RepositoryFigures,
}

/// The figures of one repository, as a walk over the store found them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RepositoryFigures {
    /// The number of tags.
    pub tags: u64,
    /// The number of manifests, tagged or not.
    pub manifests: u64,
    /// When a tag was last pointed at a manifest, in milliseconds since 1970; `None` without tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_ms: Option<u64>,
    /// The length of everything that the repository links, each digest once, in bytes.
    pub bytes: u64,
    /// The part of `bytes` that no other repository links.
    pub own_bytes: u64,
}

/// The figures of all repositories together, as a walk over the store found them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SurveyTotals {
    /// The number of repositories.
    pub repositories: u64,
    /// The number of tags.
    pub tags: u64,
    /// The number of manifests, once for each repository that has them.
    pub manifests: u64,
    /// The length of everything that any repository links, each digest once, in bytes.
    pub linked_bytes: u64,
    /// The length of all data, linked or not, in bytes.
    pub stored_bytes: u64,
}

/// Tells one stored survey from another, without its content. Two of the same length that were written within the precision
/// of the store's times are not told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SurveyFile {
    size_bytes: u64,
    modified: SystemTime,
}

/// Why there is no survey.
#[derive(Debug, thiserror::Error)]
pub enum NoSurvey {
    /// No collection has made one yet.
    #[error("this store has no survey yet")]
    Missing,
    /// The file is not whole, for this reason.
    #[error("the survey of this store is damaged: {0}")]
    Damaged(String),
    /// A later version of the registry wrote the file.
    #[error("the survey of this store was written by a later release (version {0})")]
    Newer(u32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A line of the file. The name is parsed apart: nothing but a parser of ours makes a [`RepositoryName`].
#[derive(Deserialize, Serialize)]
struct Line<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(flatten)]
    figures: RepositoryFigures,
}

/// The first line.
#[derive(Deserialize, Serialize)]
struct Header {
    survey: u32,
    as_of_ms: u64,
    #[serde(flatten)]
    totals: SurveyTotals,
}

const VERSION: u32 = 1;

/// The first line is shorter.
const MAX_HEADER_BYTES: u64 = 1024;

/// A stored survey that is this far in the future comes from a clock that was wrong, and does not count as newer.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// The longest survey, in bytes: that of half a million repositories.
const MAX_BYTES: u64 = 64 << 20;

impl Survey {
    /// Reads the survey of a registry's store.
    ///
    /// # Errors
    ///
    /// There is none, it is damaged, or the store failed.
    pub async fn read(registry: &Registry) -> std::result::Result<Self, NoSurvey> {
        match Self::read_unless(registry, None).await {
            Ok(Some((survey, _))) => Ok(survey),
            Ok(None) => Err(NoSurvey::Missing),
            Err((error, _)) => Err(error),
        }
    }

    /// Reads the survey of a registry's store, unless the file is still `known`: then `None`, for the price of a stat.
    ///
    /// # Errors
    ///
    /// There is none, it is damaged, or the store failed; with the file, if there is one.
    pub async fn read_unless(
        registry: &Registry,
        known: Option<SurveyFile>,
    ) -> std::result::Result<Option<(Self, SurveyFile)>, (NoSurvey, Option<SurveyFile>)> {
        let (driver, path) = (registry.driver(), Entry::Survey.path());
        let info = driver.stat_if_any(&path).await.map_err(|error| (Error::from(error).into(), None))?;
        let Some(FileInfo { size_bytes, modified, .. }) = info else { return Err((NoSurvey::Missing, None)) };
        let file = SurveyFile { size_bytes, modified };
        if known == Some(file) {
            return Ok(None);
        }
        if size_bytes > MAX_BYTES {
            return Err((NoSurvey::Damaged(format!("it has {size_bytes} bytes")), Some(file)));
        }
        let content = driver.get_content_if_any(&path).await;
        let content = content.map_err(|error| (Error::from(error).into(), None))?;
        let content = content.ok_or((NoSurvey::Missing, None))?;
        let parsed = on_blocking_pool(move || Self::parse(&content)).await;
        Ok(Some((parsed.map_err(|error| (error, Some(file)))?, file)))
    }

    /// When the walk of the stored survey began, from the first line of the file; `None` if there is none that can be read.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn stored_as_of(registry: &Registry) -> Result<Option<SystemTime>> {
        let beginning = ByteRange::new(0, MAX_HEADER_BYTES);
        let reader = match registry.driver().reader(&Entry::Survey.path(), beginning).await {
            Ok(reader) => reader,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let content: Vec<_> = reader.into_stream().try_collect().await?;
        let content = content.concat();
        let header = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let header = serde_json::from_slice::<Header>(header).ok().filter(|header| header.survey == VERSION);
        Ok(header.map(|header| time_of(header.as_of_ms)))
    }

    /// When the walk began.
    pub fn as_of(&self) -> SystemTime {
        self.as_of
    }

    /// The figures of all repositories together.
    pub fn totals(&self) -> &SurveyTotals {
        &self.totals
    }

    /// The repositories, in the order of their names.
    pub fn repositories(&self) -> &[RepositorySurvey] {
        &self.repositories
    }

    /// The repository of that name, if the walk found it.
    pub fn find(&self, name: &RepositoryName) -> Option<&RepositorySurvey> {
        let place = self.repositories.binary_search_by(|found| found.name.as_str().cmp(name.as_str()));
        place.ok().and_then(|place| self.repositories.get(place))
    }

    /// A survey with these figures.
    pub(crate) fn new(
        as_of: SystemTime,
        mut repositories: Vec<RepositorySurvey>,
        linked_bytes: u64,
        stored_bytes: u64,
    ) -> Self {
        repositories.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        let sum = |figure: fn(&RepositoryFigures) -> u64| {
            repositories.iter().map(|repository| figure(&repository.figures)).sum()
        };
        let totals = SurveyTotals {
            repositories: repositories.len() as u64,
            tags: sum(|figures| figures.tags),
            manifests: sum(|figures| figures.manifests),
            linked_bytes,
            stored_bytes,
        };
        Self { as_of, totals, repositories }
    }

    /// Writes the survey in place of the one before, unless that is newer: another replica may have walked meanwhile. A power
    /// failure may damage it.
    pub(crate) async fn write(&self, registry: &Registry) -> Result<()> {
        if let Some(stored) = Self::stored_as_of(registry).await?
            && stored > self.as_of
            && registry.clock().now() + MAX_CLOCK_SKEW >= stored
        {
            tracing::debug!("the stored survey is of a later walk, so it stays");
            return Ok(());
        }
        let survey = self.clone();
        let content = on_blocking_pool(move || survey.to_bytes()).await;
        if content.len() as u64 > MAX_BYTES {
            let count = self.repositories.len();
            tracing::warn!("{count} repositories are too many for a survey, so the previous one stays");
            return Ok(());
        }
        Ok(registry.driver().put_content(&Entry::Survey.path(), content, PutMode::Transient).await?)
    }

    fn to_bytes(&self) -> Bytes {
        let header = Header { survey: VERSION, as_of_ms: millis(self.as_of), totals: self.totals };
        let mut content = serde_json::to_vec(&header).unwrap_or_default();
        content.push(b'\n');
        for repository in &self.repositories {
            let line = Line { name: repository.name.as_str().into(), figures: repository.figures };
            content.extend(serde_json::to_vec(&line).unwrap_or_default());
            content.push(b'\n');
        }
        content.into()
    }

    fn parse(content: &[u8]) -> std::result::Result<Self, NoSurvey> {
        let damaged = |reason: &str| NoSurvey::Damaged(reason.to_owned());
        let text = std::str::from_utf8(content).map_err(|_| damaged("it is not text"))?;
        let mut lines = text.lines();
        let header = lines.next().ok_or_else(|| damaged("it is empty"))?;
        #[derive(Deserialize)]
        struct Versioned {
            survey: u32,
        }
        match serde_json::from_str(header) {
            Ok(Versioned { survey: VERSION }) => {}
            Ok(Versioned { survey }) => return Err(NoSurvey::Newer(survey)),
            Err(_) => return Err(damaged("its first line is no header")),
        }
        let header: Header =
            serde_json::from_str(header).map_err(|_| damaged("its header has other fields"))?;
        let mut repositories: Vec<RepositorySurvey> = Vec::new();
        for (number, line) in lines.enumerate() {
            let parsed = serde_json::from_str::<Line<'_>>(line).ok();
            let repository = parsed.and_then(|Line { name, figures }| {
                Some(RepositorySurvey { name: name.parse().ok()?, figures })
            });
            let no_repository = || NoSurvey::Damaged(format!("its line {} is no repository", number + 2));
            repositories.push(repository.ok_or_else(no_repository)?);
        }
        if repositories.len() as u64 != header.totals.repositories {
            return Err(NoSurvey::Damaged(format!(
                "it has {} of {} repositories",
                repositories.len(),
                header.totals.repositories
            )));
        }
        let is_sorted = repositories.is_sorted_by(|a, b| a.name.as_str() < b.name.as_str());
        if !is_sorted {
            return Err(damaged("its repositories are not in the order of their names"));
        }
        Ok(Self { as_of: time_of(header.as_of_ms), totals: header.totals, repositories })
    }
}

impl RepositoryFigures {
    /// When a tag was last pointed at a manifest, by the clock of the store; `None` without tags.
    pub fn pushed(&self) -> Option<SystemTime> {
        self.pushed_ms.map(time_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey() -> Survey {
        let repository = |name: &str, bytes| {
            let pushed_ms = (bytes > 10).then_some(1_700_000_000_000);
            let figures = RepositoryFigures { tags: 1, manifests: 2, pushed_ms, bytes, own_bytes: bytes / 2 };
            RepositorySurvey { name: name.parse().unwrap(), figures }
        };
        // By bytes of the whole name, not by components.
        let repositories = vec![repository("a/b", 10), repository("a-b", 20), repository("a", 30)];
        Survey::new(time_of(1_800_000_000_123), repositories, 50, 60)
    }

    #[test]
    fn a_survey_is_read_as_it_was_written() {
        let survey = survey();
        let read = Survey::parse(&survey.to_bytes()).unwrap();
        assert_eq!(read, survey);
        assert_eq!((read.totals().repositories, read.totals().tags, read.totals().manifests), (3, 3, 6));
        for (name, bytes) in [("a", Some(30)), ("a-b", Some(20)), ("a/b", Some(10)), ("b", None)] {
            assert_eq!(read.find(&name.parse().unwrap()).map(|found| found.figures.bytes), bytes, "{name}");
        }
        assert!(read.find(&"a".parse().unwrap()).unwrap().figures.pushed().is_some());
    }

    #[test]
    fn what_is_no_whole_survey_is_none_with_the_reason() {
        let text = String::from_utf8(survey().to_bytes().to_vec()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (content, reason) in [
            (String::new(), "empty"),
            ("\u{0}\u{0}".to_owned(), "no header"),
            ("[1]".to_owned(), "other fields"),
            (r#"{"survey":1}"#.to_owned(), "other fields"),
            (r#"{"survey":2,"x":1}"#.to_owned(), "version 2"),
            (lines[..3].join("\n"), "2 of 3 repositories"),
            (text[..text.len() - 10].to_owned(), "line 4 is no repository"),
            ([lines[0], lines[2], lines[1], lines[3]].join("\n"), "order of their names"),
            ([lines[0], lines[1], lines[1], lines[3]].join("\n"), "order of their names"),
            (text.replace("\"a-b\"", "\"../../etc\""), "no repository"),
        ] {
            let error = Survey::parse(content.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{content}: {error}");
        }
        assert!(matches!(Survey::parse(b"\xff"), Err(NoSurvey::Damaged(_))));
    }
}
