//! Multipart uploads that nobody will finish: what a crash left behind, and what no state object tells of.
//!
//! They cost storage and are seen by nobody. A lifecycle rule of the bucket removes them best; this is the net below it.
//! A bucket may be shared with strangers, whose uploads are theirs, so only those below `docker/registry/` are ended: the one
//! thing that this crate knows about whose files it keeps.
//! An upload that a state object names can still be gone on with. It is left to the purge of uploads, which alone knows how old
//! uploads may become.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use object_store::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinHandle;

use crate::bucket::{Bucket, Raw};
use crate::client::PageRequest;
use crate::error::{Failure, chain};
use crate::keys::Keys;
use crate::signed::SignedRequest;
use crate::xml;

/// A task that sweeps once a day for as long as its owner lives.
#[derive(Debug)]
pub(crate) struct Sweeper(JoinHandle<()>);

impl Sweeper {
    /// Begins to sweep, if the store needs it.
    pub(crate) fn start(bucket: &Arc<Bucket>) -> Option<Self> {
        bucket.raw.as_ref()?;
        let bucket = Arc::downgrade(bucket);
        Some(Self(tokio::spawn(async move {
            let mut pause = FIRST;
            loop {
                tokio::time::sleep(pause).await;
                let Some(bucket) = bucket.upgrade() else { return };
                match bucket.sweep_stale_uploads(OffsetDateTime::now_utc() - AGE).await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "multipart uploads that nobody finished were ended"),
                    Err(failure) => {
                        let error = chain(&failure);
                        tracing::warn!(error, "multipart uploads that nobody finished could not be ended");
                    }
                }
                pause = INTERVAL;
            }
        })))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Bucket {
    /// Ends the multipart uploads that began before `before` and that nothing names, and tells how many there were.
    pub(crate) async fn sweep_stale_uploads(&self, before: OffsetDateTime) -> Result<u64, Failure> {
        let Some(raw) = &self.raw else { return Ok(0) };
        let mut ended = 0;
        let old = self.old_uploads(raw, before).await?;
        for (id, key) in self.unnamed(old).await? {
            match self.control.multipart().abort_multipart(&key, &id).await.map_err(Failure::from) {
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => ended += 1,
            }
        }
        Ok(ended)
    }

    /// Those of `uploads`, keys by the names of their multipart uploads, that no state object tells of.
    ///
    /// This lists everything, but only when there is something to end, which is seldom.
    async fn unnamed(&self, mut uploads: HashMap<String, Path>) -> Result<HashMap<String, Path>, Failure> {
        let (prefix, mut token) = (self.registry(), None);
        while !uploads.is_empty() {
            let request = PageRequest {
                prefix: &prefix,
                after: None,
                delimited: false,
                limit: self.options.page,
                token: token.as_deref(),
            };
            let page = self.page(request).await?;
            for object in page.objects {
                if !Keys::is_state(object.location.as_ref()) {
                    continue;
                }
                match self.load_header(&object.location).await {
                    Ok(header) => {
                        let named = header.and_then(|header| header.upload);
                        named.and_then(|upload| uploads.remove(&upload));
                    }
                    // It may name any of them.
                    Err(Failure::State(problem)) => {
                        tracing::warn!(key = %object.location, problem, "the state of an upload cannot be read, so that no \
                             multipart upload is ended");
                        return Ok(HashMap::new());
                    }
                    Err(failure) => return Err(failure),
                }
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        Ok(uploads)
    }

    /// What the keys begin with that may be ours.
    fn registry(&self) -> String {
        format!("{}{REGISTRY}", self.keys.below(&sampan_driver::DriverPath::root()))
    }

    /// The multipart uploads that began before `before`: their keys by their names.
    async fn old_uploads(&self, raw: &Raw, before: OffsetDateTime) -> Result<HashMap<String, Path>, Failure> {
        let prefix = self.registry();
        let (mut old, mut markers) = (HashMap::new(), Vec::new());
        loop {
            let answer = self.list_uploads(raw, &prefix, &markers).await?;
            for upload in xml::elements(&answer, "Upload") {
                let (Some(key), Some(id)) = (xml::text(upload, "Key"), xml::text(upload, "UploadId")) else {
                    continue;
                };
                let began = xml::text(upload, "Initiated")
                    .and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
                let (Some(began), Ok(key)) = (began, Path::parse(&key)) else { continue };
                if began < before && key.as_ref().starts_with(&prefix) {
                    old.insert(id, key);
                }
            }
            if xml::text(&answer, "IsTruncated").as_deref() != Some("true") {
                return Ok(old);
            }
            markers.clear();
            for (parameter, element) in
                [("key-marker", "NextKeyMarker"), ("upload-id-marker", "NextUploadIdMarker")]
            {
                markers.extend(xml::text(&answer, element).map(|marker| (parameter, marker)));
            }
            if markers.is_empty() {
                return Ok(old);
            }
        }
    }

    async fn list_uploads(
        &self,
        raw: &Raw,
        prefix: &str,
        markers: &[(&'static str, String)],
    ) -> Result<String, Failure> {
        let mut query = vec![("uploads", String::new()), ("prefix", prefix.to_owned())];
        query.extend_from_slice(markers);
        let request = SignedRequest {
            what: "listing of multipart uploads",
            method: Method::GET,
            key: &Path::default(),
            query,
            headers: Vec::new(),
        };
        Ok(String::from_utf8_lossy(&self.send_signed(raw, request).await?).into_owned())
    }
}

/// What our keys begin with, below the root directory.
const REGISTRY: &str = "docker/registry/";

/// No upload of which no state was ever saved is under way for so long.
const AGE: time::Duration = time::Duration::days(7);

/// Not at once, so that a process that only starts and stops does not sweep.
const FIRST: Duration = Duration::from_secs(10 * 60);

const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use sampan_driver::{DriverPath, StorageDriver, WriteHint, WriteMode};

    use super::*;
    use crate::ObjectStoreDriver;

    /// However old it is: how old uploads may become is not decided here.
    #[tokio::test]
    async fn a_multipart_upload_that_a_state_names_is_not_stale() {
        let driver = ObjectStoreDriver::over(Arc::new(InMemory::new()), "root", 1000).unwrap();
        let path = |text: &str| text.parse::<DriverPath>().unwrap();
        let staged = path("/docker/registry/v2/repositories/app/_uploads/1/data");
        let target = path("/docker/registry/v2/blobs/data");
        let mut named = HashMap::new();
        for (staged, hint) in [
            (staged, WriteHint::default()),
            (
                path("/docker/registry/v2/repositories/b/_uploads/2/data"),
                WriteHint { len: None, target: Some(target) },
            ),
        ] {
            let mut writer = driver.writer(&staged, WriteMode::Create(hint)).await.unwrap();
            writer.write(vec![1; 2500].into()).await.unwrap();
            writer.close(bytes::Bytes::new()).await.unwrap();
            let found = driver.bucket.load_state(&staged).await.unwrap().unwrap();
            named.insert(found.header.upload.unwrap(), Path::from(found.header.key));
        }
        let mut old = named.clone();
        old.insert("forgotten".into(), Path::from("root/docker/registry/v2/blobs/data"));
        let unnamed = driver.bucket.unnamed(old).await.unwrap();
        assert_eq!(unnamed.keys().collect::<Vec<_>>(), ["forgotten"]);

        let broken = Path::from("root/docker/registry/v2/repositories/c/_uploads/3/data!upload");
        driver.bucket.put(&broken, "?".into()).await.unwrap();
        assert!(driver.bucket.unnamed(unnamed).await.unwrap().is_empty(), "doubt keeps");
    }
}
