//! Multipart uploads that nobody will finish: what a crash left behind, and what no state object tells of.
//!
//! They cost storage and are seen by nobody. A lifecycle rule of the bucket removes them best; this is the net below it.
//! A bucket may be shared with strangers, whose uploads are theirs, so only those below `docker/registry/` are ended: the one
//! thing that this crate knows about whose files it keeps.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use object_store::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinHandle;

use crate::bucket::{Bucket, Raw};
use crate::error::{Failure, chain};
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
    /// Ends the multipart uploads that began before `before`, and tells how many there were.
    pub(crate) async fn sweep_stale_uploads(&self, before: OffsetDateTime) -> Result<u64, Failure> {
        let Some(raw) = &self.raw else { return Ok(0) };
        let prefix = format!("{}{REGISTRY}", self.keys.below(&sampan_driver::DriverPath::root()));
        let (mut ended, mut markers) = (0, Vec::new());
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
                    match self.control.multipart().abort_multipart(&key, &id).await.map_err(Failure::from) {
                        Err(failure) if !failure.is_not_found() => return Err(failure),
                        _ => ended += 1,
                    }
                }
            }
            if xml::text(&answer, "IsTruncated").as_deref() != Some("true") {
                return Ok(ended);
            }
            markers.clear();
            for (parameter, element) in
                [("key-marker", "NextKeyMarker"), ("upload-id-marker", "NextUploadIdMarker")]
            {
                markers.extend(xml::text(&answer, element).map(|marker| (parameter, marker)));
            }
            if markers.is_empty() {
                return Ok(ended);
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

/// As old as uploads may grow by default before the upload purge takes them.
const AGE: time::Duration = time::Duration::days(7);

/// Not at once, so that a process that only starts and stops does not sweep.
const FIRST: Duration = Duration::from_secs(10 * 60);

const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
