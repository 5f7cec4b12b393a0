//! A push in the middle of the deletion of a repository.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use sampan_driver::{Deadline, DriverPath, Result, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, RepositoryName};
use serde_json::json;

use super::store::{INDEX, Store};
use crate::contents::Contents;

/// A driver that does something before it deletes a file.
struct Racing {
    inner: Arc<dyn StorageDriver>,
    file: DriverPath,
    race: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
}

impl std::fmt::Debug for Racing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Racing").finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Racing {
    sampan_driver::forward! { self => self.inner;
        name capabilities get_content put_content put_all reader writer stat list list_holding walk rename delete
        delete_tree sync_deletions check redirect_url
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let (inner, file, race) = (self.inner.clone(), self.file.clone(), self.race.clone());
        let deleting = async move {
            let paths: Vec<DriverPath> = paths.collect().await;
            let race = if paths.contains(&file) { race.lock().take() } else { None };
            if let Some(race) = race {
                race.await;
            }
            inner.delete_all(stream::iter(paths).boxed(), until)
        };
        stream::once(deleting).flatten().boxed()
    }
}

/// The push has found the child of its index, and sets its tag, when the child goes.
#[tokio::test]
async fn an_index_that_is_pushed_while_its_child_goes_stays_whole() {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let client = Store::open_over(driver.clone());
    let child = client.image("team/app", None, &json!({ "os": "linux" }), &["layer"]).await;
    let digest: Digest = child["digest"].as_str().unwrap().parse().unwrap();
    let name: RepositoryName = "team/app".parse().unwrap();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] });
    let push = async move {
        client.manifest("team/app", Some("new"), &index).await;
    };
    let racing = Racing {
        inner: driver,
        file: Entry::RevisionLink(name.clone(), digest.clone()).path(),
        race: Arc::new(Mutex::new(Some(Box::pin(push)))),
    };
    let race = racing.race.clone();
    let store = Store::open_over(Arc::new(racing));
    let repository = store.registry.repository(name);
    let contents = Contents::read(&repository).await.unwrap();
    let left = contents.delete(&repository).await.unwrap();
    assert!(race.lock().is_none(), "nothing was pushed meanwhile");
    assert_eq!((left.tags.len(), left.manifests.len()), (1, 2));
    repository.manifests().get(&digest.into()).await.unwrap();
}
