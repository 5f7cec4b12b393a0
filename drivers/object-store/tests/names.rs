//! Names of tags that are codes of the store's protocol: clients choose them.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

#[path = "support/s3/mod.rs"]
#[allow(dead_code, reason = "this test needs no faults")]
mod s3;

use std::sync::Arc;

use futures::{StreamExt, stream};
use s3::{Conditions, S3};
use sampan_driver::{Deadline, DriverConfig, DriverPath, PutMode, StorageDriver};
use sampan_driver_object_store::S3Config;

#[tokio::test]
async fn a_tag_may_have_the_name_of_an_error() {
    let store = S3::start(Conditions::Quoted);
    let section = serde_json::from_str::<S3Config>(&store.section("")).unwrap();
    let driver: Arc<dyn StorageDriver> = section.build().await.unwrap();
    for name in ["ContainerNotFound", "InternalError", "NoSuchBucket", "QuotaExceeded", "SlowDown"] {
        let tag: DriverPath =
            format!("/docker/registry/v2/repositories/a/_manifests/tags/{name}").parse().unwrap();
        let link = tag.join("current/link").unwrap();
        let put = || driver.put_content(&link, "sha256:x".into(), PutMode::Overwrite);
        let is_missing = async || {
            let (content, stat) = (driver.get_content(&link).await, driver.stat(&link).await);
            [content.map(drop), stat.map(drop)]
                .iter()
                .all(|result| result.as_ref().is_err_and(|error| error.is_not_found()))
        };
        assert!(is_missing().await, "{name}");
        put().await.unwrap();
        driver.delete(&link).await.unwrap();
        assert!(is_missing().await, "{name}");
        put().await.unwrap();
        let all = stream::iter([link.clone()]).boxed();
        for (_, result) in driver.delete_all(all, Deadline::NONE).collect::<Vec<_>>().await {
            result.unwrap();
        }
        assert!(is_missing().await, "{name}");
        put().await.unwrap();
        driver.delete_tree(&tag).await.unwrap();
        assert!(is_missing().await, "{name}");
    }
}
