//! `Job`: the requests of a work for one server, operation by operation.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Connection;
use crate::content::{Blob, Source};
use crate::error::Result;
use crate::material::{Image, LAYERS};
use crate::registry::{Fetch, PushMethod};

/// The repeated operation of a client.
pub(crate) enum Job {
    /// Gets content, several items per operation if they belong together.
    Fetch(Vec<Vec<Fetch>>),
    /// The same, each item once.
    FetchOnce(Vec<Vec<Fetch>>, AtomicU64),
    /// Pushes new blobs.
    Push { repository: String, source: Source, how: PushMethod },
    /// Pushes new images.
    PushImage { repository: String, layers: Source },
    /// Twenty operations in turn, by the index of their job.
    Mixed { jobs: Vec<Job>, turns: [u8; 20] },
}

/// The result of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// The number of requests.
    pub(crate) requests: u64,
    /// The bytes of bodies in both directions.
    pub(crate) bytes: u64,
}

/// Content that an operation left in the registry.
#[derive(Clone, Debug)]
pub(crate) enum LeftContent {
    /// A blob and its size.
    Blob(String, u64),
    /// A manifest.
    Manifest(String),
}

impl Job {
    /// Does a client's operation number `index`; `None` if nothing is left to do.
    pub(crate) async fn once(
        &self,
        connection: &mut Connection,
        index: u64,
        left: &mut Vec<LeftContent>,
    ) -> Result<Option<Done>> {
        match self {
            Self::Fetch(operations) => {
                fetch(connection, &operations[index as usize % operations.len()]).await
            }
            Self::FetchOnce(operations, next) => {
                let index = next.fetch_add(1, Ordering::Relaxed);
                match operations.get(index as usize) {
                    Some(operation) => fetch(connection, operation).await,
                    None => Ok(None),
                }
            }
            Self::Push { repository, source, how } => {
                let blob = source.blob();
                let requests = push(connection, repository, &blob, *how, left).await?;
                Ok(Some(Done { requests, bytes: blob.size }))
            }
            Self::PushImage { repository, layers } => {
                push_image(connection, repository, &Image::new(layers, LAYERS), left).await.map(Some)
            }
            Self::Mixed { jobs, turns } => {
                let turn = turns[index as usize % turns.len()];
                Box::pin(jobs[usize::from(turn)].once(connection, index, left)).await
            }
        }
    }

    /// The bytes that an operation pushes.
    pub(crate) fn pushes(&self) -> Option<u64> {
        match self {
            Self::Fetch(_) | Self::FetchOnce(..) => None,
            Self::Push { source, .. } => Some(source.size()),
            Self::PushImage { layers, .. } => Some(layers.size() * LAYERS as u64),
            Self::Mixed { jobs, .. } => jobs.iter().find_map(Self::pushes),
        }
    }

    /// Whether an untimed first operation is harmless and removes the cost of first operations from the figures.
    pub(crate) fn may_be_tried(&self) -> bool {
        matches!(self, Self::Fetch(_))
    }
}

async fn fetch(connection: &mut Connection, operation: &[Fetch]) -> Result<Option<Done>> {
    let mut done = Done::default();
    for one in operation {
        done.bytes += connection.fetch(one).await?;
        done.requests += 1;
    }
    Ok(Some(done))
}

async fn push(
    connection: &mut Connection,
    repository: &str,
    blob: &Blob,
    how: PushMethod,
    left: &mut Vec<LeftContent>,
) -> Result<u64> {
    let requests = connection.push(repository, blob, how).await?;
    left.push(LeftContent::Blob(blob.digest.clone(), blob.size));
    Ok(requests)
}

/// Pushes an image with a tag of its own, blob after blob.
pub(crate) async fn push_image(
    connection: &mut Connection,
    repository: &str,
    image: &Image,
    left: &mut Vec<LeftContent>,
) -> Result<Done> {
    let mut done = Done { requests: 1, bytes: image.manifest.size };
    for blob in image.blobs() {
        done.requests += push(connection, repository, blob, PushMethod::Streamed, left).await?;
        done.bytes += blob.size;
    }
    connection.push_manifest(repository, &image.manifest.hex()[..16], &image.manifest).await?;
    left.push(LeftContent::Manifest(image.manifest.digest.clone()));
    Ok(done)
}
