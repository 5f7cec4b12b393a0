//! Abandoned multipart uploads: remains of crashes that no state object names.
//!
//! They cost storage and are invisible. A lifecycle rule of the bucket removes them best; this sweep is the fallback. A
//! bucket may be shared with foreign applications, so the sweep ends only uploads below `docker/registry/`: the single fact
//! that this crate knows about the files it stores. A writer can still continue an upload that a state object names. The
//! sweep leaves those to the purge of uploads, which alone knows the maximum age of uploads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use object_store::path::Path;
use sampan_driver::with_causes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinHandle;

use crate::bucket::{Bucket, Raw};
use crate::client::PageRequest;
use crate::error::Failure;
use crate::keys::Keys;
use crate::signed::SignedRequest;
use crate::xml::{self, UploadsPage};

/// A task that sweeps once a day until its owner is dropped.
#[derive(Debug)]
pub(crate) struct Sweeper(JoinHandle<()>);

impl Sweeper {
    /// Starts sweeping, if the store needs it.
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
                    Ok(count) => tracing::info!(count, "ended abandoned multipart uploads"),
                    Err(failure) => {
                        let error = with_causes(&failure);
                        tracing::warn!(error, "cannot end abandoned multipart uploads");
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
    /// Ends the multipart uploads that began before `before` and that no state object names; returns their number.
    pub(crate) async fn sweep_stale_uploads(&self, before: OffsetDateTime) -> Result<u64, Failure> {
        let Some(raw) = &self.raw else { return Ok(0) };
        let prefix = self.registry();
        let (mut ended, mut markers) = (0, Markers::new());
        loop {
            let list = |markers| self.list_uploads(raw, &prefix, markers);
            let (old, next) = some_old_uploads(list, &prefix, before, markers).await?;
            let Some(unnamed) = self.unnamed(old).await? else { return Ok(ended) };
            for (id, key) in unnamed {
                match self.control.multipart().abort_multipart(&key, &id).await.map_err(Failure::from) {
                    Err(failure) if !failure.is_not_found() => return Err(failure),
                    _ => ended += 1,
                }
            }
            match next {
                Some(next) => markers = next,
                None => return Ok(ended),
            }
        }
    }

    /// The subset of `uploads` that no state object names; maps names of multipart uploads to keys. `None` if a state cannot
    /// be read, since it may name any upload.
    ///
    /// This lists all objects, but only if there is something to end, which is rare.
    async fn unnamed(&self, mut uploads: OldUploads) -> Result<Option<OldUploads>, Failure> {
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
                    Err(Failure::State(problem)) => {
                        tracing::warn!(key = %object.location, problem, "cannot read the state of an upload, so this \
                             sweep ends no multipart upload");
                        return Ok(None);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        Ok(Some(uploads))
    }

    /// The key prefixes that may be ours.
    fn registry(&self) -> String {
        format!("{}{REGISTRY}", self.keys.below(&sampan_driver::DriverPath::root()))
    }

    async fn list_uploads(&self, raw: &Raw, prefix: &str, markers: Markers) -> Result<UploadsPage, Failure> {
        let mut query = vec![("uploads", String::new()), ("prefix", prefix.to_owned())];
        query.extend(markers);
        let request = SignedRequest {
            what: "listing of multipart uploads",
            method: Method::GET,
            key: &Path::default(),
            query,
            headers: Vec::new(),
        };
        let what = request.what;
        let answer = self.send_signed(raw, request).await?;
        xml::parse(&answer).map_err(|error| Failure::Unreadable { what, error: error.to_string() })
    }
}

/// Multipart uploads: maps names to keys.
type OldUploads = HashMap<String, Path>;

/// The position in a listing of multipart uploads, as parameters of its request.
type Markers = Vec<(&'static str, String)>;

/// The multipart uploads below `prefix` that began before `before`, from `markers` on, about [`BATCH`] of them; and the
/// position after them, unless the listing has ended.
async fn some_old_uploads<F>(
    list: impl Fn(Markers) -> F,
    prefix: &str,
    before: OffsetDateTime,
    mut markers: Markers,
) -> Result<(OldUploads, Option<Markers>), Failure>
where
    F: Future<Output = Result<UploadsPage, Failure>>,
{
    let mut old = HashMap::new();
    loop {
        let page = list(markers.clone()).await?;
        for upload in page.uploads {
            let (Some(key), Some(id), Some(began)) = (upload.key, upload.upload_id, upload.initiated) else {
                continue;
            };
            let began = OffsetDateTime::parse(&began, &Rfc3339);
            let (Ok(began), Ok(key)) = (began, Path::parse(&key)) else { continue };
            if began < before && key.as_ref().starts_with(prefix) {
                old.insert(id, key);
            }
        }
        let next: Markers =
            [("key-marker", page.next_key_marker), ("upload-id-marker", page.next_upload_id_marker)]
                .into_iter()
                .filter_map(|(parameter, marker)| Some((parameter, marker?)))
                .collect();
        // Ends the listing for a store that returns the same position again.
        if !page.is_truncated || next.is_empty() || next == markers {
            return Ok((old, None));
        }
        markers = next;
        if old.len() >= BATCH {
            return Ok((old, Some(markers)));
        }
    }
}

/// The number of old uploads to hold in memory, plus one page. Each batch lists all state objects, so the number is large;
/// there are hardly ever any.
const BATCH: usize = 3000;

/// The prefix of our keys, below the root directory.
const REGISTRY: &str = "docker/registry/";

/// An upload without a saved state never runs for so long.
const AGE: time::Duration = time::Duration::days(7);

/// A delay, so that a process that only starts and stops does not sweep.
const FIRST: Duration = Duration::from_secs(10 * 60);

const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use sampan_driver::{DriverPath, StorageDriver, WriteHint, WriteMode};

    use super::*;
    use crate::ObjectStoreDriver;

    /// At any age: this crate does not decide the maximum age of uploads.
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
        let unnamed = driver.bucket.unnamed(old).await.unwrap().unwrap();
        assert_eq!(unnamed.keys().collect::<Vec<_>>(), ["forgotten"]);

        let broken = Path::from("root/docker/registry/v2/repositories/c/_uploads/3/data!upload");
        driver.bucket.put(&broken, "?".into()).await.unwrap();
        assert!(driver.bucket.unnamed(unnamed).await.unwrap().is_none(), "doubt keeps");
    }

    /// Holds a few thousand at a time, and reaches all of them.
    #[tokio::test]
    async fn old_uploads_are_looked_at_some_at_a_time() {
        const PAGES: usize = 20;
        let list = async |markers: Markers| {
            let page = markers.first().map_or(0, |(_, key)| key.parse::<usize>().unwrap());
            let upload = |number: usize| {
                format!(
                    "<Upload><Key>r/{page}</Key><UploadId>{page}-{number}</UploadId>\
                     <Initiated>2020-01-02T03:04:05Z</Initiated></Upload>"
                )
            };
            let uploads: String = (0..1000).map(upload).collect();
            let next = page + 1;
            let page = format!(
                "<R>{uploads}<IsTruncated>{}</IsTruncated><NextKeyMarker>{next}</NextKeyMarker>\
                 <NextUploadIdMarker>x</NextUploadIdMarker></R>",
                next < PAGES
            );
            Ok(xml::parse(page.as_bytes()).unwrap())
        };
        let (mut markers, mut met) = (Markers::new(), 0);
        loop {
            let now = OffsetDateTime::now_utc();
            let (old, next) = some_old_uploads(list, "r/", now, markers).await.unwrap();
            assert!(old.len() <= BATCH + 1000, "{} at a time", old.len());
            met += old.len();
            match next {
                Some(next) => markers = next,
                None => break,
            }
        }
        assert_eq!(met, PAGES * 1000);
    }

    /// Leaves a store whose listing does not advance, instead of asking for ever.
    #[tokio::test]
    async fn a_listing_that_goes_in_circles_ends() {
        let list = async |_: Markers| {
            Ok(UploadsPage {
                is_truncated: true,
                next_key_marker: Some("a".to_owned()),
                ..UploadsPage::default()
            })
        };
        let now = OffsetDateTime::now_utc();
        let (old, next) = some_old_uploads(list, "r/", now, Markers::new()).await.unwrap();
        assert!(old.is_empty() && next.is_none());
    }
}
