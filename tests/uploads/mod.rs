//! Interrupted uploads, seen from the engine: over a real directory, and over stores that misbehave.

mod power_failure;
mod purge;
mod repeated;

use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use futures::StreamExt;
use sampan_driver::{DriverConfig, StorageDriver};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::{Body, Registry, StartUpload, UploadId, UploadStore};

/// A registry over a directory, as a new process opens it.
async fn over_directory(root: &Path) -> Registry {
    let config: FilesystemConfig =
        serde_json::from_value(serde_json::json!({ "rootdirectory": root })).unwrap();
    over(config.build().await.unwrap())
}

fn over(driver: Arc<dyn StorageDriver>) -> Registry {
    Registry::builder(driver).build()
}

fn uploads(registry: &Registry) -> UploadStore {
    registry.repository("app".parse().unwrap()).uploads()
}

/// Begins an upload and sends `content`.
async fn begin(registry: &Registry, content: &[u8]) -> UploadId {
    let id = uploads(registry).start(StartUpload::default()).await.unwrap().id;
    if !content.is_empty() {
        uploads(registry).append(&id, None, body(content)).await.unwrap();
    }
    id
}

fn body(content: &[u8]) -> Body {
    futures::stream::iter([Ok(Bytes::copy_from_slice(content))]).boxed()
}

fn content(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rand::fill(&mut bytes[..]);
    bytes
}
