//! The note beside the bytes of an upload, in which its running hash is kept: whatever it holds, a blob gets its own digest.

use std::cell::LazyCell;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use sampan_driver::{ByteRange, MAX_NOTE_BYTES, StorageDriver, WriteMode};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Body, Error, Registry, StartUpload};
use tokio::runtime::Runtime;

thread_local! {
    static RUNTIME: LazyCell<Runtime> = LazyCell::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
    });
}

pub(super) fn run(data: &[u8]) {
    let Some((first, note)) = data.split_first() else { return };
    let note = Bytes::copy_from_slice(&note[..note.len().min(MAX_NOTE_BYTES)]);
    let algorithm = Algorithm::ALL[usize::from(*first) % Algorithm::ALL.len()];
    RUNTIME.with(|runtime| runtime.block_on(upload(algorithm, note)));
}

fn body(bytes: &'static [u8]) -> Body {
    Box::pin(stream::iter([Ok(Bytes::from_static(bytes))]))
}

async fn upload(algorithm: Algorithm, note: Bytes) {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let name: sampan_engine::oci::RepositoryName = "app".parse().expect("a name");
    let repository = Registry::builder(Arc::clone(&driver)).build().repository(name.clone());
    let uploads = repository.uploads();
    let upload = uploads.start(StartUpload { algorithm: Some(algorithm) }).await.expect("an upload").id;
    uploads.append(&upload, None, body(b"the first half, ")).await.expect("a chunk");

    let path = Entry::UploadData(name, upload.clone()).path();
    let writer = driver.writer(&path, WriteMode::Append).await.expect("the staged file");
    writer.close(note).await.expect("the note");

    let digest = Digest::of(algorithm, b"the first half, and the second");
    match uploads.finish(&upload, None, body(b"and the second"), &digest).await {
        Ok(info) => {
            assert_eq!(info.size_bytes, 30);
            let read = repository.blobs().read(&digest, ByteRange::ALL).await;
            let (_, reader) = read.expect("the blob is there");
            let content = collect(reader).await;
            assert_eq!(content, b"the first half, and the second");
        }
        // A note with another hash in the right form: the client starts over.
        Err(Error::DigestMismatch { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

async fn collect(reader: sampan_driver::FileReader) -> Vec<u8> {
    use futures::TryStreamExt;
    let chunks: Vec<Bytes> = reader.into_stream().try_collect().await.expect("the content");
    chunks.concat()
}
