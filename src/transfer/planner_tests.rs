//! Plans of sources that answer without end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_bundle::{ContentStream, PlanProblem};
use sampan_engine::oci::{Descriptor, Digest, Reference, RepositoryName, Tag, media_type};

use crate::planner::plan_within;
use crate::source::FoundManifest;
use crate::{Error, ExportOptions, Result, Source};

/// A registry with one tag, to which each question attaches another manifest.
#[derive(Debug, Default)]
struct Endless {
    /// The manifests that it has named.
    named: Mutex<HashMap<Digest, Bytes>>,
    /// How many referrers each manifest has.
    referrers_each: u64,
    /// How many questions it has answered.
    asked: AtomicU64,
}

impl Endless {
    fn name_another(&self) -> FoundManifest {
        let number = self.named.lock().unwrap().len();
        let config = Digest::sha256_of(b"{}");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"a/b","digest":"{config}","size":2}},"layers":[],"annotations":{{"number":"{number}"}}}}"#,
            media_type = media_type::OCI_MANIFEST,
        );
        let (digest, bytes) = (Digest::sha256_of(text.as_bytes()), Bytes::from(text));
        self.named.lock().unwrap().insert(digest.clone(), bytes.clone());
        FoundManifest { digest, media_type: media_type::OCI_MANIFEST.to_owned(), bytes }
    }
}

#[async_trait]
impl Source for Endless {
    async fn repositories(&self) -> Result<Vec<RepositoryName>> {
        Ok(vec!["team/app".parse().unwrap()])
    }

    fn is_partial(&self, _: &RepositoryName) -> bool {
        false
    }

    async fn tags(&self, _: &RepositoryName) -> Result<Option<Vec<Tag>>> {
        Ok(Some(vec!["v1".parse().unwrap()]))
    }

    async fn tag_time(&self, _: &RepositoryName, _: &Tag) -> Result<Option<SystemTime>> {
        Err(Error::NoTagTimes)
    }

    async fn manifest(&self, _: &RepositoryName, reference: &Reference) -> Result<Option<FoundManifest>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Reference::Digest(digest) = reference else { return Ok(Some(self.name_another())) };
        let bytes = self.named.lock().unwrap().get(digest).cloned();
        let media_type = media_type::OCI_MANIFEST.to_owned();
        Ok(bytes.map(|bytes| FoundManifest { digest: digest.clone(), media_type, bytes }))
    }

    async fn referrers(&self, _: &RepositoryName, _: &Digest) -> Result<Vec<Descriptor>> {
        let another = |_| {
            let FoundManifest { digest, media_type, bytes } = self.name_another();
            let size = bytes.len() as u64;
            serde_json::from_value(
                serde_json::json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size }),
            )
            .unwrap()
        };
        Ok((0..self.referrers_each).map(another).collect())
    }

    async fn blob_size(&self, _: &RepositoryName, _: &Digest) -> Result<Option<u64>> {
        Ok(Some(2))
    }

    async fn blob(&self, _: &RepositoryName, _: &Digest) -> Result<ContentStream> {
        panic!("a plan reads no blob")
    }
}

fn options() -> ExportOptions {
    ExportOptions::of(vec!["team/app".parse().unwrap()], "near.example")
}

#[tokio::test]
async fn a_plan_ends_when_its_file_would_be_too_long() {
    for referrers_each in [1, 3] {
        let source = Endless { referrers_each, ..Endless::default() };
        let planned = plan_within(&source, &options(), 20_000).await;
        assert!(matches!(planned, Err(Error::Plan(PlanProblem::TooLarge(_)))), "{planned:?}");
        // A referrer takes more than 200 bytes of a plan: its digest as content and as referrer, and its subject's.
        let asked = source.asked.load(Ordering::Relaxed);
        assert!(asked <= 100, "{asked} manifests were read for a plan of 20,000 bytes");
    }
    let source = Endless::default();
    let planned = plan_within(&source, &options(), 20_000).await.unwrap();
    assert_eq!(planned.plan.contents.len(), 2);
}
