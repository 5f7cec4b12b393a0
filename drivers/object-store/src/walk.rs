//! The walk: a flat listing, a thousand files per request, in the order of the store.
//!
//! An upload appears at its staging path with the time of its state object, so the purge of uploads sees when it was last
//! touched. `!` sorts before every character of a path, so the order is that of the paths.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::ObjectMeta;
use sampan_driver::{DriverPath, FileInfo, Operation, Result};

use crate::bucket::Bucket;
use crate::client::PageRequest;
use crate::error::Failure;

/// Every file below `path`, beginning after `after`.
pub(crate) fn walk(
    bucket: Arc<Bucket>,
    path: &DriverPath,
    after: Option<&DriverPath>,
) -> BoxStream<'static, Result<FileInfo>> {
    let walker = Walker {
        below: bucket.keys.below(path),
        path: path.clone(),
        after: after.cloned(),
        bucket,
        token: None,
        last: None,
        ready: VecDeque::new(),
        has_ended: false,
    };
    stream::try_unfold(walker, |mut walker| async move {
        match walker.next().await {
            Ok(found) => Ok(found.map(|info| (info, walker))),
            Err(failure) => Err(failure.at(walker.bucket.name, Operation::Walk, &walker.path)),
        }
    })
    .boxed()
}

/// The entry of an object.
pub(crate) fn info(path: DriverPath, object: &ObjectMeta) -> FileInfo {
    FileInfo { path, size_bytes: object.size, modified: whole_second(object.last_modified.into()) }
}

/// Some stores' listings have finer times than their headers; the result must not depend on the request.
fn whole_second(time: SystemTime) -> SystemTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => time,
    }
}

struct Walker {
    bucket: Arc<Bucket>,
    path: DriverPath,
    below: String,
    after: Option<DriverPath>,
    token: Option<String>,
    /// The last path that the store returned.
    last: Option<DriverPath>,
    ready: VecDeque<FileInfo>,
    has_ended: bool,
}

impl Walker {
    async fn next(&mut self) -> Result<Option<FileInfo>, Failure> {
        loop {
            if let Some(info) = self.ready.pop_front() {
                return Ok(Some(info));
            }
            if self.has_ended {
                return Ok(None);
            }
            self.fetch().await?;
        }
    }

    async fn fetch(&mut self) -> Result<(), Failure> {
        // A start before the prefix has no effect, and some stores refuse it.
        let start = self.after.as_ref().map(|after| self.bucket.keys.key(after));
        let request = PageRequest {
            prefix: &self.below,
            after: start.as_deref().filter(|start| *start > self.below.as_str()),
            delimited: false,
            limit: self.bucket.options.page,
            token: self.token.as_deref(),
        };
        let page = self.bucket.page(request).await?;
        for object in &page.objects {
            let (key, keys) = (object.location.as_ref(), &self.bucket.keys);
            let Some(path) = keys.path(key).or_else(|| keys.staged(key)) else { continue };
            // An assembled file and the state beside it have the same path.
            if self.last.as_ref() == Some(&path) {
                continue;
            }
            self.last = Some(path.clone());
            // Not every store can start in the middle.
            if path.below(&self.path).is_some() && self.after.as_ref().is_none_or(|after| path > *after) {
                self.ready.push_back(info(path, object));
            }
        }
        self.token = page.next;
        self.has_ended = self.token.is_none();
        Ok(())
    }
}
