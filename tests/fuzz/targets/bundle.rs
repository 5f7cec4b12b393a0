//! A bundle from a pipe: it is refused, or each content that is read as a whole has its digest and its length.

use std::io::Cursor;

use sampan_bundle::Reader;
use sampan_engine::oci::Digest;
use tokio::runtime::{Builder, Runtime};

/// The longest content that is read.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn run(data: &[u8]) {
    runtime().block_on(async {
        let Ok(reader) = Reader::from_pipe(Cursor::new(data.to_vec())).await else { return };
        for (index, content) in reader.plan().contents.iter().enumerate() {
            let Ok(bytes) = reader.read_whole(index, MAX_BYTES).await else { return };
            assert_eq!(bytes.len() as u64, content.size_bytes);
            assert_eq!(Digest::of(content.digest.algorithm(), &bytes), content.digest);
        }
        if reader.finish().await.is_ok() {
            assert_eq!(data.len() as u64, reader.layout().len_bytes());
        }
    });
}

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap_or_else(|error| panic!("{error}"))
}
