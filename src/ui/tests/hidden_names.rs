//! A list tells nothing of repositories that its visitor may not see.

use sampan_engine::gc;
use serde_json::{Value, json};

use super::store::Store;

/// A list as JSON, without credentials: only `public` may be seen.
async fn list(store: &Store, query: &str) -> Value {
    store.json(&format!("/ui/{query}")).await.1
}

async fn survey(store: &mut Store) {
    gc::collect(&store.registry, &gc::Options::default()).await.unwrap();
    store.forget_with_users();
}

#[tokio::test]
async fn a_list_that_begins_after_a_hidden_repository_begins_as_after_a_missing_one() {
    let mut store = Store::with_users();
    for (name, layer) in [("public", "a layer"), ("team/large", &*"x".repeat(5000)), ("team/small", "")] {
        store.image(name, Some("v1"), &json!({}), &[layer]).await;
    }
    survey(&mut store).await;
    for query in ["sort=tags", "sort=size", "sort=pushed", "q=i", "q=a", "live=1", ""] {
        let [missing, larger, smaller] =
            ["team/none", "team/large", "team/small"].map(|after| format!("?{query}&after={after}"));
        let missing = list(&store, &missing).await;
        assert_eq!(list(&store, &larger).await, missing, "{query}");
        assert_eq!(list(&store, &smaller).await, missing, "{query}");
    }
}

#[tokio::test]
async fn no_link_names_a_hidden_repository() {
    let mut store = Store::with_users();
    // More than are looked at for one page, in which `public` comes after them.
    for number in 0..250 {
        store.image(&format!("hidden/{number:03}"), Some("v1"), &json!({}), &["layer"]).await;
    }
    store.image("public", Some("v1"), &json!({}), &["layer"]).await;
    let page = store.get("/ui/").await;
    assert!(
        !page.text.contains("hidden/") && page.text.contains("200 repositories were looked at"),
        "{}",
        page.text
    );
    assert_eq!(list(&store, "").await, json!({"repositories": []}));
    survey(&mut store).await;
    let listed = list(&store, "").await;
    assert_eq!(listed["repositories"][0]["name"], "public", "{listed}");
    assert!(listed.get("next").is_none(), "{listed}");
}
