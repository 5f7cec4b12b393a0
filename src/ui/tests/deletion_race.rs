//! A push in the middle of a deletion.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use sampan_driver::{Deadline, DriverPath, PutMode, Result, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use serde_json::json;

use super::store::{INDEX, Store};
use crate::contents::{Contents, delete_tag};

/// A driver that does something before it writes or deletes a file.
struct Racing {
    inner: Arc<dyn StorageDriver>,
    is_file: Arc<dyn Fn(&DriverPath) -> bool + Send + Sync>,
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
        name capabilities get_content put_all reader writer stat list list_holding walk rename delete
        delete_tree sync_deletions check redirect_url
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let race = if (self.is_file)(path) { self.race.lock().take() } else { None };
        if let Some(race) = race {
            race.await;
        }
        self.inner.put_content(path, content, mode).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let (inner, is_file, race) = (self.inner.clone(), self.is_file.clone(), self.race.clone());
        let deleting = async move {
            let paths: Vec<DriverPath> = paths.collect().await;
            let race = if paths.iter().any(|path| is_file(path)) { race.lock().take() } else { None };
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
    let link = Entry::RevisionLink(name.clone(), digest.clone()).path();
    let racing = Racing {
        inner: driver,
        is_file: Arc::new(move |path| *path == link),
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

/// The page showed a tag without an image. A client pushes one before the deletion of the tag begins, or while it looks.
#[tokio::test]
async fn a_tag_without_an_image_that_is_pushed_while_it_goes_stays() {
    let name: RepositoryName = "team/app".parse().unwrap();
    let tag: Tag = "lost".parse().unwrap();
    for whole in [false, true] {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let client = Store::open_over(driver.clone());
        let current = Entry::TagCurrent(name.clone(), tag.clone()).path();
        let nothing = Digest::sha256_of(b"nothing").to_string();
        driver.put_content(&current, nothing.into(), PutMode::Overwrite).await.unwrap();
        let pushed = tag.clone();
        let push = async move {
            let config = json!({ "os": "linux" });
            client.image("team/app", Some(pushed.as_str()), &config, &["layer"]).await;
        };
        let racing = Racing {
            inner: driver,
            is_file: Arc::new(|path| matches!(Entry::parse(path), Some(Entry::TagRemoval(..)))),
            race: Arc::new(Mutex::new(Some(Box::pin(push)))),
        };
        let race = racing.race.clone();
        let store = Store::open_over(Arc::new(racing));
        let repository = store.registry.repository(name.clone());
        let contents = Contents::read(&repository).await.unwrap();
        assert_eq!(contents.tags, [(tag.clone(), None)]);
        match whole {
            true => assert_eq!(contents.delete(&repository).await.unwrap().tags.len(), 1),
            false => assert!(!delete_tag(&repository, &tag, None).await.unwrap()),
        }
        assert!(race.lock().is_none(), "nothing was pushed meanwhile");
        repository.manifests().get(&Reference::Tag(tag.clone())).await.unwrap();
    }
}

/// A tag that cannot be read, and one whose manifest has a link that names another.
#[tokio::test]
async fn damaged_tags_are_deleted() {
    let name: RepositoryName = "team/app".parse().unwrap();
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let store = Store::open_over(driver.clone());
    let repository = store.registry.repository(name.clone());
    let image = store.image("team/app", Some("linked"), &json!({ "os": "linux" }), &["layer"]).await;
    let digest: Digest = image["digest"].as_str().unwrap().parse().unwrap();
    let other = Digest::sha256_of(b"other").to_string();
    let unread = Entry::TagCurrent(name.clone(), "unread".parse().unwrap());
    for (entry, content) in [(unread, "no digest".to_owned()), (Entry::RevisionLink(name, digest), other)] {
        driver.put_content(&entry.path(), content.into(), PutMode::Overwrite).await.unwrap();
    }
    for tag in ["linked", "unread"] {
        let tag: Tag = tag.parse().unwrap();
        assert!(repository.tags().pushed_at(&tag).await.unwrap().is_some());
        assert!(delete_tag(&repository, &tag, None).await.unwrap(), "{tag}");
        assert!(repository.tags().pushed_at(&tag).await.unwrap().is_none(), "{tag}");
    }
}
