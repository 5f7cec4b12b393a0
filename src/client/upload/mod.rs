//! Pushing blobs: mounts, uploads in one request, uploads in chunks, and what continues after a broken connection.

mod chunked;
mod push;
mod session;
mod source;

pub use chunked::ChunkedUpload;
pub use push::Pushed;
pub use source::{BlobSource, ByteStream, BytesSource, FileSource, RemoteSource};
