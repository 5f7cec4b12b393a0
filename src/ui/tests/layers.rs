//! Which images share a layer.

use http::StatusCode;
use sampan_driver::{PutMode, StorageDriver};
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{gc, layout};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::store::Store;

/// Learns what images share, as the registry does between collections.
async fn learn(store: &Store) {
    let before = store.registry.layer_users();
    let users = gc::layer_users(&store.registry, 0.0, &CancellationToken::new(), before.as_deref()).await;
    store.registry.keep_layer_users(users.unwrap());
}

fn layer(name: &str, content: &str) -> String {
    format!("/ui/{name}/-/layers/{}", Digest::sha256_of(content.as_bytes()))
}

fn names(list: &Value) -> String {
    let images = list["images"].as_array().unwrap().iter();
    images.map(|it| it["repository"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn an_image_says_how_many_others_have_its_layers() {
    let store = Store::open();
    store.image("app", Some("v1"), &json!({ "n": 1 }), &["base", "one"]).await;
    let before = store.get("/ui/app/-/tags/v1").await.text;
    assert!(!before.contains("In other images"), "{before}");
    let unknown = store.get(&layer("app", "base")).await;
    assert!(unknown.status == StatusCode::OK && unknown.text.contains("is known some minutes after"));
    store.image("app", Some("v2"), &json!({ "n": 2 }), &["base", "two", "base"]).await;
    store.image("other/app", Some("v1"), &json!({ "n": 1 }), &["base", "one"]).await;
    learn(&store).await;
    let page = store.get("/ui/app/-/tags/v1").await;
    assert!(page.text.contains("Other images as of"), "{}", page.text);
    let cells: Vec<String> = page.rows().into_iter().map(|row| row[4].clone()).collect();
    assert_eq!(cells, ["2", "1"], "the same image in another repository is another one");
    let link = layer("app", "base");
    assert!(page.text.contains(&format!(r#"<a href="{link}" aria-label="Images that have the layer"#)));
    assert_eq!(store.get("/ui/app/-/tags/v2").await.rows()[1][4], "0");
    let list = store.get(&link).await;
    let names: Vec<String> = list.rows().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(names, ["app", "app", "other/app"]);
    assert!(list.text.contains("Images that have this layer: 3"), "{}", list.text);
    let nothing = store.get(&layer("app", "no layer")).await;
    assert!(nothing.text.contains("No image that you may see has this layer."), "{}", nothing.text);
}

#[tokio::test]
async fn images_that_a_visitor_may_not_see_are_neither_counted_nor_named() {
    let store = Store::with_users();
    for name in ["public", "team/app", "secret"] {
        store.image(name, Some("v1"), &json!({ "name": name }), &["base"]).await;
    }
    learn(&store).await;
    let image = store.get("/ui/public/-/tags/v1").await;
    assert_eq!(image.rows()[0][4], "0");
    let (status, list) = store.json(&layer("public", "base")).await;
    assert_eq!((status, &list["count"], names(&list).as_str()), (StatusCode::OK, &json!(1), "public"));
    for name in ["team/app", "secret"] {
        assert_eq!(store.json(&layer(name, "base")).await.0, StatusCode::UNAUTHORIZED);
    }
    let form = store.get("/ui/-/login").await;
    let fields = [("token", &*form.token("/ui/-/login")), ("user", "ann"), ("password", "secret")];
    let ann = store.post("/ui/-/login", "", &fields).await.cookie();
    let get = http::Request::get(layer("public", "base")).header("cookie", ann);
    let page = store.send(get.header("accept", "application/json")).await;
    let list: Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!((&list["count"], names(&list).as_str()), (&json!(2), "public team/app"));
}

#[tokio::test]
async fn a_long_list_of_images_has_pages_and_leaves_out_what_is_gone() {
    let store = Store::open();
    for number in 0..60 {
        store.image(&format!("r{number:02}"), Some("v1"), &json!({}), &["base"]).await;
    }
    learn(&store).await;
    let (_, first) = store.json(&layer("r00", "base")).await;
    assert_eq!((first["images"].as_array().unwrap().len(), &first["count"]), (50, &json!(60)));
    let next = first["next"].as_str().unwrap();
    let (_, second) = store.json(&format!("{}{next}", layer("r00", "base"))).await;
    assert_eq!(names(&second), (50..60).map(|number| format!("r{number}")).collect::<Vec<_>>().join(" "));
    assert!(second["next"].is_null() && second["asOf"].is_string(), "{second}");
    let gone = store.registry.repository("r03".parse().unwrap());
    let digest = gone.manifests().digest(&Reference::Tag("v1".parse().unwrap())).await.unwrap();
    gone.manifests().delete(&Reference::Digest(digest)).await.unwrap();
    let (_, list) = store.json(&layer("r00", "base")).await;
    assert!(!names(&list).contains("r03"), "{list}");
    for odd in ["%00", "r03", "@", "r03@sha256:0", "zzz@x"] {
        assert_eq!(store.json(&format!("{}?after={odd}", layer("r00", "base"))).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_manifest_that_is_known_is_not_read_again() {
    let store = Store::open();
    let image = store.image("app", Some("v1"), &json!({}), &["base"]).await;
    store.image("new", Some("v1"), &json!({ "n": 1 }), &["base"]).await;
    learn(&store).await;
    // A read would find no manifest.
    let digest: Digest = image["digest"].as_str().unwrap().parse().unwrap();
    let path = layout::Entry::Blob(digest).path();
    store.registry.driver().put_content(&path, "{".into(), PutMode::Overwrite).await.unwrap();
    store.image("newer", Some("v1"), &json!({ "n": 2 }), &["base"]).await;
    learn(&store).await;
    let counted = async || store.registry.layer_users().unwrap().of(&Digest::sha256_of(b"base")).count();
    assert_eq!(counted().await, 3);
    let again = gc::layer_users(&store.registry, 0.0, &CancellationToken::new(), None).await.unwrap();
    assert_eq!(again.of(&Digest::sha256_of(b"base")).count(), 2);
}
