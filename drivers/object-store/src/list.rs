//! The listing of one level, by name.
//!
//! Stores sort keys, where a prefix counts with its slash: `a-b` precedes `a/`, while by name `a` precedes `a-b`. Within a
//! page, sorting solves this. Across pages, only prefixes of the last key of a page are affected (`a`, if the key is `a-b`),
//! so the listing requests them before it returns the page. Hence it holds one page, not one directory, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{DirEntry, DriverPath, Operation, Result};

use crate::bucket::Bucket;
use crate::client::{Page, PageRequest};
use crate::error::Failure;

/// The entries of the level `path`, beginning after the name `after`.
pub(crate) fn list(
    bucket: Arc<Bucket>,
    path: &DriverPath,
    after: Option<&str>,
) -> BoxStream<'static, Result<DirEntry>> {
    let lister = Lister {
        below: bucket.keys.below(path),
        path: path.clone(),
        after: after.filter(|after| !after.is_empty()).map(str::to_owned),
        bucket,
        token: None,
        settled: Vec::new(),
        ready: VecDeque::new(),
        has_ended: false,
    };
    stream::try_unfold(lister, |mut lister| async move {
        match lister.next().await {
            Ok(found) => Ok(found.map(|entry| (entry, lister))),
            Err(failure) => Err(failure.at(lister.bucket.name, Operation::List, &lister.path)),
        }
    })
    .boxed()
}

struct Lister {
    bucket: Arc<Bucket>,
    path: DriverPath,
    below: String,
    after: Option<String>,
    token: Option<String>,
    /// Names whose prefixes were requested early.
    settled: Vec<String>,
    ready: VecDeque<DirEntry>,
    has_ended: bool,
}

impl Lister {
    async fn next(&mut self) -> Result<Option<DirEntry>, Failure> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            if self.has_ended {
                return Ok(None);
            }
            self.fetch().await?;
        }
    }

    async fn fetch(&mut self) -> Result<(), Failure> {
        let start = self.after.as_deref().map(begin_of_start).filter(|begin| !begin.is_empty());
        let start = start.map(|begin| format!("{}{begin}", self.below));
        let page = self.page(&self.below, start.as_deref(), self.token.as_deref(), true).await?;
        let mut entries = Vec::new();
        let mut last = String::new();
        for object in &page.objects {
            if let Some(name) = object.location.as_ref().strip_prefix(&self.below) {
                last = last.max(name.to_owned());
                entries.push(DirEntry::File(name.to_owned()));
            }
        }
        for prefix in &page.prefixes {
            if let Some(name) = prefix.strip_prefix(&self.below) {
                last = last.max(format!("{name}/"));
                if !self.settled.iter().any(|settled| settled == name) {
                    entries.push(DirEntry::Directory(name.to_owned()));
                }
            }
        }
        if page.next.is_some() {
            self.settled.retain(|settled| last.starts_with(settled.as_str()));
            for stem in stems(&last) {
                if self.settled.iter().any(|settled| settled == stem) || !self.is_wanted(stem) {
                    continue;
                }
                if self.has_something_below(stem).await? {
                    entries.push(DirEntry::Directory(stem.to_owned()));
                }
                self.settled.push(stem.to_owned());
            }
        }
        entries.retain(|entry| self.is_wanted(entry.name()));
        entries.sort_unstable_by(|a, b| (a.name(), a.is_directory()).cmp(&(b.name(), b.is_directory())));
        self.ready = entries.into();
        self.token = page.next;
        self.has_ended = self.token.is_none();
        Ok(())
    }

    /// Whether to return an entry of that name: it follows the start, and is ours.
    fn is_wanted(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
            && !name.contains('/')
            && self.path.join(name).is_ok()
    }

    async fn has_something_below(&self, name: &str) -> Result<bool, Failure> {
        let (below, mut token) = (format!("{}{name}/", self.below), None);
        loop {
            let page = self.page(&below, None, token.as_deref(), false).await?;
            // A page may have had foreign keys only.
            if !page.objects.is_empty() || page.next.is_none() {
                return Ok(!page.objects.is_empty());
            }
            token = page.next;
        }
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<&str>,
        delimited: bool,
    ) -> Result<Page, Failure> {
        let limit = if delimited || token.is_some() { self.bucket.options.page } else { 1 };
        self.bucket.page(PageRequest { prefix, after, delimited, limit, token }).await
    }
}

/// The part of `after` that stores take as a start: Ceph fails at control characters, which no name has. What precedes `after`
/// is left out by name.
fn begin_of_start(after: &str) -> &str {
    let odd = |c: char| c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c);
    &after[..after.find(odd).unwrap_or(after.len())]
}

/// The prefixes of `key` that sort after it: those before a byte less than a slash.
fn stems(key: &str) -> impl Iterator<Item = &str> {
    key.char_indices().filter(|(index, c)| *index > 0 && *c < '/').map(|(index, _)| &key[..index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_what_may_still_come_as_a_prefix() {
        assert_eq!(stems("v1-rc.2/").collect::<Vec<_>>(), ["v1", "v1-rc"]);
        assert_eq!(stems("plain/").count(), 0);
        assert_eq!(stems(".a").count(), 0);
    }
}
