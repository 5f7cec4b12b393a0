//! Bundles of stores in memory, and stores over them.

#![allow(dead_code, reason = "each test binary uses a part")]

#[path = "../../../transfer/tests/support/mod.rs"]
pub(crate) mod transfer;

use std::error::Error;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_bundle::Reader;
use sampan_bundle_store::BundleStore;
use sampan_driver::{DriverError, FileReader, LocalFile};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use tempfile::TempDir;
use transfer::{Store, export, options};

/// Bundles in a directory.
pub(crate) struct Files(pub(crate) TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// Writes parts of `part_bytes`.
    pub(crate) fn split(&self, name: &str, content: &[u8], part_bytes: usize) {
        for (number, part) in (1..).zip(content.chunks(part_bytes)) {
            self.write(&format!("{name}.{number:03}"), part);
        }
    }

    pub(crate) async fn open(&self, names: &[&str]) -> Result<BundleStore, sampan_bundle_store::Error> {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        BundleStore::open(&paths).await
    }

    /// Flips a bit in the middle of some content of a bundle.
    pub(crate) async fn damage(&self, name: &str, digest: &Digest) {
        let reader = Reader::open(&[self.path(name)]).await.unwrap();
        let index = reader.plan().contents.iter().position(|content| content.digest == *digest).unwrap();
        let data = reader.layout().data(index, &reader.plan().contents[index]);
        let place = data.start + (data.end - data.start) / 2;
        let file = std::fs::File::options().read(true).write(true).open(self.path(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 4], place).unwrap();
    }
}

/// Everything of a store in a bundle.
pub(crate) async fn bundle_of(store: &Store) -> Vec<u8> {
    export(store, &options(&["**"])).await.unwrap()
}

/// A store over the bundle, for reading through the engine.
pub(crate) fn over(served: &BundleStore) -> Store {
    Store::over(Arc::new(served.clone()))
}

/// The bytes of a reader, by its stream.
pub(crate) async fn streamed(reader: FileReader) -> Result<Vec<u8>, DriverError> {
    let mut all = Vec::new();
    let mut chunks = reader.into_stream();
    while let Some(chunk) = chunks.try_next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// The bytes of a reader, by the windows of its file as a connection sends them.
pub(crate) async fn windowed(reader: FileReader) -> Result<Vec<u8>, DriverError> {
    let LocalFile { file, mut windows, .. } = reader.into_file().unwrap();
    let mut all = Vec::new();
    while let Some(window) = windows.try_next().await? {
        let mut read = vec![0; usize::try_from(window.end - window.start).unwrap()];
        file.read_exact_at(&mut read, window.start).unwrap();
        all.extend_from_slice(&read);
    }
    Ok(all)
}

/// An image with a layer of this many bytes, which repeat nowhere.
pub(crate) async fn large_image(store: &Store, len: usize) -> (Digest, Bytes) {
    let mut state = 7_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    });
    let mut layer: Vec<u8> = noise.take(len / 8 + 1).flatten().collect();
    layer.truncate(len);
    store.image("large", Algorithm::Sha256, "large", std::slice::from_ref(&layer), false, &["1"]).await;
    (Digest::sha256_of(&layer), layer.into())
}

pub(crate) fn blob(digest: &Digest) -> sampan_driver::DriverPath {
    Entry::Blob(digest.clone()).path()
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
