//! A tag that a failed deletion removed is durably gone before the link of its manifest is: after a power failure it would point
//! nowhere, and no retry finds it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{
    Deadline, DriverConfig, DriverError, DriverPath, ErrorKind, Operation, Result, StorageDriver, forward,
};
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::oci::Digest;
use serde_json::json;

use crate::support::server::{Server, Setup};

/// A filesystem that removes the first file of each batch of deletions and fails for the others while `fails` is set.
#[derive(Debug)]
struct HalfDeleting {
    inner: Arc<dyn StorageDriver>,
    fails: Mutex<bool>,
    /// Deletions and syncs, in order.
    log: Arc<Mutex<Vec<String>>>,
}

impl HalfDeleting {
    fn note(&self, what: &str, path: &DriverPath) {
        self.log.lock().unwrap().push(format!("{what} {path}"));
    }
}

#[async_trait]
impl StorageDriver for HalfDeleting {
    forward! { self => self.inner;
        name capabilities get_content put_content put_all reader writer stat list list_holding walk rename delete delete_tree check
        redirect_url
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let (inner, log, fails) = (self.inner.clone(), self.log.clone(), *self.fails.lock().unwrap());
        let results = paths.enumerate().then(move |(number, path)| {
            let (inner, log, until) = (inner.clone(), log.clone(), until.clone());
            async move {
                if fails && number > 0 {
                    let error = DriverError::new(ErrorKind::Other, "half", Operation::DeleteAll, &path);
                    return (path, Err(error));
                }
                log.lock().unwrap().push(format!("delete {path}"));
                inner.delete_all(stream::iter([path]).boxed(), until).next().await.unwrap()
            }
        });
        results.boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        paths.iter().for_each(|path| self.note("sync", path));
        self.inner.sync_deletions(paths).await
    }
}

#[tokio::test]
async fn a_tag_is_durably_gone_before_its_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let config: FilesystemConfig =
        serde_json::from_value(json!({ "rootdirectory": directory.path() })).unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let driver = Arc::new(HalfDeleting {
        inner: config.build().await.unwrap(),
        fails: Mutex::new(false),
        log: log.clone(),
    });
    let server = Server::with(Setup { driver: driver.clone(), ..Setup::default() });
    let manifest =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let digest = Digest::sha256_of(manifest);
    let put = server.call("PUT", "/v2/app/manifests/latest").body(&manifest[..]);
    put.header("content-type", "application/vnd.oci.image.index.v1+json").send().await.expect(201);

    *driver.fails.lock().unwrap() = true;
    let path = format!("/v2/app/manifests/{digest}");
    assert!(server.call("DELETE", &path).send().await.status.as_u16() >= 500);
    let current = "/docker/registry/v2/repositories/app/_manifests/tags/latest/current/link";
    let seen = std::mem::take(&mut *log.lock().unwrap());
    let deleted = seen.iter().position(|line| *line == format!("delete {current}"));
    let synced = seen.iter().position(|line| *line == format!("sync {current}"));
    assert!(deleted.is_some() && deleted < synced, "the failed deletion syncs the tag: {seen:#?}");

    *driver.fails.lock().unwrap() = false;
    server.call("DELETE", &path).send().await.expect(202);
    let seen = std::mem::take(&mut *log.lock().unwrap());
    let unlinked = seen.iter().position(|line| line.starts_with("delete ") && line.contains("/revisions/"));
    let synced = seen.iter().position(|line| *line == format!("sync {current}"));
    assert!(synced.is_some() && synced < unlinked, "the retry syncs the tag before the link goes: {seen:#?}");
}
