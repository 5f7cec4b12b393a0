//! `PartsChecked`: a store in memory that ends multipart uploads as S3 does.
//!
//! `object_store::memory` makes one object of any parts. A real store compares the parts with those in the request, and Ceph
//! requires all of them. A request to a real store also takes a while, during which it serves others.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// A store in memory.
#[derive(Debug, Default)]
pub(crate) struct PartsChecked {
    pub(crate) inner: InMemory,
    uploads: Mutex<Uploads>,
}

#[derive(Debug, Default)]
struct Uploads {
    begun: u64,
    open: HashMap<MultipartId, Upload>,
}

#[derive(Debug)]
struct Upload {
    attributes: Attributes,
    parts: BTreeMap<usize, (String, Bytes)>,
}

impl PartsChecked {
    fn with<T>(&self, look: impl FnOnce(&mut Uploads) -> T) -> T {
        look(&mut self.uploads.lock())
    }
}

impl fmt::Display for PartsChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartsChecked")
    }
}

/// Yields to other tasks at random.
async fn a_while() {
    for _ in 0..rand::random_range(0..4) {
        tokio::task::yield_now().await;
    }
}

fn no_such_upload(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "<Code>NoSuchUpload</Code>".into() }
}

fn e_tag(content: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[async_trait]
impl MultipartStore for PartsChecked {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, _: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        Ok(self.with(|uploads| {
            uploads.begun += 1;
            let id = format!("upload-{}", uploads.begun);
            let upload = Upload { attributes: options.attributes, parts: BTreeMap::new() };
            uploads.open.insert(id.clone(), upload);
            id
        }))
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        a_while().await;
        let content = Bytes::from(data);
        let content_id = e_tag(&content);
        self.with(|uploads| {
            let upload = uploads.open.get_mut(id).ok_or_else(|| no_such_upload(path))?;
            upload.parts.insert(index, (content_id.clone(), content));
            Ok(PartId { content_id })
        })
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        a_while().await;
        let (content, attributes) = self.with(|uploads| {
            let upload = uploads.open.get(id).ok_or_else(|| no_such_upload(path))?;
            let named = parts.iter().map(|part| &part.content_id);
            if !named.eq(upload.parts.values().map(|(e_tag, _)| e_tag)) {
                let text = "Server returned non-2xx status code: 400 Bad Request: <Code>InvalidPart</Code>";
                return Err(Error::Generic { store: "PartsChecked", source: text.into() });
            }
            let parts: Vec<&[u8]> = upload.parts.values().map(|(_, part)| part.as_ref()).collect();
            let content = parts.concat();
            let attributes = upload.attributes.clone();
            uploads.open.remove(id);
            Ok((content, attributes))
        })?;
        let options = PutOptions { attributes, ..Default::default() };
        self.inner.put_opts(path, content.into(), options).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.with(|uploads| uploads.open.remove(id)).map(drop).ok_or_else(|| no_such_upload(path))
    }
}

#[async_trait]
impl ObjectStore for PartsChecked {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        a_while().await;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        a_while().await;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        a_while().await;
        self.inner.copy_opts(from, to, options).await
    }
}
