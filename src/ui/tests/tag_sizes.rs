//! The sizes of tagged images, which lists keep.

use std::time::{Duration, SystemTime};

use sampan_engine::Dated;
use sampan_engine::oci::Tag;
use serde_json::json;

use super::store::Store;
use crate::tag_sizes::TagSizes;

#[tokio::test(start_paused = true)]
async fn a_size_is_kept_until_the_tag_is_pushed_again() {
    let store = Store::open();
    store.image("app", Some("v1"), &json!({}), &["layer"]).await;
    let repository = store.registry.repository("app".parse().unwrap());
    let tag = |tag: &str, at| [Dated { at, what: tag.parse().unwrap() }];
    let (sizes, old) = (TagSizes::default(), SystemTime::UNIX_EPOCH);
    let of = async |tag: &[Dated<Tag>], learn| sizes.of(&repository, tag, learn).await.unwrap()[0];
    let size = of(&tag("v1", old), true).await;
    assert!(size.is_some_and(|size| size > 0), "{size:?}");
    assert_eq!(of(&tag("v1", old), false).await, size);
    assert_eq!(of(&tag("v2", old), false).await, None);
    let now = SystemTime::now();
    assert_eq!(of(&tag("v1", now), false).await, None, "it was pushed again");
    assert_eq!(of(&tag("v1", now), true).await, size);
    assert_eq!(of(&tag("v1", now), false).await, None, "it may be pushed again at this time");
    // A tag without an image may get one.
    assert_eq!(of(&tag("none", old), true).await, Some(0));
    assert_eq!(of(&tag("none", old), false).await, Some(0));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(of(&tag("none", old), false).await, None);
    assert_eq!(of(&tag("v1", old), false).await, size);
}
