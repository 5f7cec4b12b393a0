//! `Merged`: both stores, walked side by side in the order of paths.

use std::cmp::Ordering;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join;
use futures::stream::{BoxStream, Peekable};
use sampan_driver::{DriverPath, ErrorKind, FileInfo, StorageDriver};

use super::error::NameStore;
use super::report::Unseen;
use super::{Error, Result, Side};

/// A file of either store.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) source: Option<FileInfo>,
    pub(super) target: Option<FileInfo>,
    pub(super) path: DriverPath,
}

/// A walk over both stores.
pub(super) struct Merged {
    source: Walk,
    target: Walk,
    /// Places of the source that the walk did not see. Files there look as if only the target had them.
    unseen: Vec<Unseen>,
}

type Walk = std::pin::Pin<Box<Peekable<BoxStream<'static, sampan_driver::Result<FileInfo>>>>>;

impl Merged {
    pub(super) fn new(
        source: &Arc<dyn StorageDriver>,
        target: &Arc<dyn StorageDriver>,
        root: &DriverPath,
    ) -> Self {
        let walk = |driver: &Arc<dyn StorageDriver>| Box::pin(driver.walk(root, None).peekable());
        Self { source: walk(source), target: walk(target), unseen: Vec::new() }
    }

    /// The next file of either store.
    pub(super) async fn next(&mut self) -> Result<Option<Pair>> {
        loop {
            let order = {
                let (source, target) = join(self.source.as_mut().peek(), self.target.as_mut().peek()).await;
                match (source, target) {
                    (Some(Err(_)), _) => Ordering::Less,
                    (_, Some(Err(_))) => Ordering::Greater,
                    (None, None) => return Ok(None),
                    (Some(Ok(_)), None) => Ordering::Less,
                    (None, Some(Ok(_))) => Ordering::Greater,
                    (Some(Ok(source)), Some(Ok(target))) => source.path.cmp(&target.path),
                }
            };
            let source = match order {
                Ordering::Less | Ordering::Equal => self.source.next().await.transpose(),
                Ordering::Greater => Ok(None),
            };
            let source = match source {
                Err(error) if error.kind() == ErrorKind::Unseen => {
                    if let Error::Unseen { path, reason, .. } = Error::at(Side::Source, error) {
                        self.unseen.push(Unseen { path, reason });
                    }
                    continue;
                }
                source => source.at_source()?,
            };
            let target = match order {
                Ordering::Greater | Ordering::Equal => self.target.next().await.transpose().at_target()?,
                Ordering::Less => None,
            };
            let path = match (&source, &target) {
                (Some(file), _) | (None, Some(file)) => file.path.clone(),
                (None, None) => continue,
            };
            return Ok(Some(Pair { source, target, path }));
        }
    }

    /// The places that the walk has not seen since the last call.
    pub(super) fn take_unseen(&mut self) -> Vec<Unseen> {
        std::mem::take(&mut self.unseen)
    }
}

impl Pair {
    /// Whether the source has the file, and the target not with the same length.
    pub(super) fn differs(&self) -> bool {
        match (&self.source, &self.target) {
            (Some(source), Some(target)) => source.size_bytes != target.size_bytes,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}
