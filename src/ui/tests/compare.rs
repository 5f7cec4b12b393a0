//! Two images beside each other.

use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::store::{INDEX, Store, text_of};

const COMPARE: &str = "/ui/app/-/compare";

fn config(architecture: &str, version: &str) -> Value {
    json!({
        "os": "linux", "architecture": architecture,
        "config": {
            "Entrypoint": ["/bin/app", "a b"], "User": "1000", "WorkingDir": format!("/srv/{version}"),
            "Env": ["LANG=C.UTF-8", format!("VERSION={version}")],
            "Labels": { "same": "yes", (version): "own" },
        },
    })
}

async fn store() -> Store {
    let store = Store::open();
    store.image("app", Some("v1"), &config("amd64", "1"), &["base", "one"]).await;
    store.image("app", Some("v2"), &config("amd64", "2"), &["base", "two", "three"]).await;
    store
}

/// The rows of a group, without those of the others.
fn part<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let begin = text.find(begin).unwrap_or_else(|| panic!("no {begin}: {text}"));
    &text[begin..][..text[begin..].find(end).unwrap_or(text.len() - begin)]
}

#[tokio::test]
async fn what_differs_is_marked_and_comes_first() {
    let store = store().await;
    let page = store.get(&format!("{COMPARE}?a=v1&b=v2")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let text = text_of(&page.text);
    let configuration = part(&text, "Configuration Differences", "Environment");
    assert!(configuration.contains("Configuration Differences: 1"), "{configuration}");
    assert!(configuration.contains("Working directory /srv/1 /srv/2 ≠ differs"), "{configuration}");
    assert!(configuration.contains("User 1000 1000 ="), "{configuration}");
    let environment = part(&text, "Environment Differences", "Labels");
    assert!(environment.contains("Difference VERSION 1 2 ≠ differs LANG C.UTF-8 C.UTF-8 ="), "{environment}");
    let labels = part(&text, "Labels Differences", "Layers");
    assert!(labels.contains("Difference 1 own – ≠ differs 2 – own ≠ differs same yes yes ="), "{labels}");
    for part in ["Only in v1: 1, 3 B", "Only in v2: 2, 8 B", "In both: 1, 4 B"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(page.text.contains("[&#34;/bin/app&#34;,&#34;a b&#34;]"), "{}", page.text);
    assert!(page.text.contains(r#"<a href="/ui/app/-/tags/v2">v2</a>"#), "{}", page.text);
}

#[tokio::test]
async fn the_form_asks_for_what_is_missing() {
    let store = store().await;
    for query in ["", "?a=v1", "?b=v2", "?a=&b="] {
        let page = store.get(&format!("{COMPARE}{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{query}");
        assert!(page.text.contains(r#"<option value="v1">"#) && !page.text.contains("<table"), "{query}");
    }
    let image = store.get("/ui/app/-/tags/v1").await;
    assert!(image.text.contains(r#"<a href="/ui/app/-/compare?a=v1">"#), "{}", image.text);
    let page = store.get(&format!("{COMPARE}?a=v1")).await;
    assert!(page.text.contains(r#"name="a" value="v1""#), "{}", page.text);

    let odd = store.get(&format!("{COMPARE}?a=v1&b=%3Cb%3E")).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(odd.text.contains("“&#60;b&#62;” is neither a tag nor a digest."), "{}", odd.text);
    let wrong = store.send(Request::builder().method(Method::POST).uri(COMPARE)).await;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
}

#[tokio::test]
async fn a_missing_image_or_repository_is_404() {
    let store = store().await;
    let digest = format!("sha256:{}", "0".repeat(64));
    for query in ["?a=v1&b=v3", "?a=v3&b=v1", &format!("?a=v1&b={digest}")] {
        let page = store.get(&format!("{COMPARE}{query}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{query}");
        assert!(page.text.contains("Back to the tags"), "{query}");
    }
    assert_eq!(store.get("/ui/none/-/compare").await.status, StatusCode::NOT_FOUND);
    let users = Store::with_users();
    users.image("team/app", Some("v1"), &json!({}), &["layer"]).await;
    let hidden = users.get("/ui/team/app/-/compare?a=v1&b=v1").await;
    assert_eq!(hidden.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_image_is_the_same_as_itself() {
    let store = store().await;
    let page = store.get(&format!("{COMPARE}?a=v1&b=v1")).await;
    assert!(
        page.text.contains("Both are the same image.") && !page.text.contains("differs"),
        "{}",
        page.text
    );

    store.image("app", Some("turned"), &config("amd64", "1"), &["one", "base"]).await;
    let turned = store.get(&format!("{COMPARE}?a=v1&b=turned")).await;
    assert!(turned.text.contains("in another order or number"), "{}", turned.text);
    assert!(text_of(&turned.text).contains("In both: 2, 7 B"), "{}", turned.text);
}

#[tokio::test]
async fn indexes_are_compared_by_platform() {
    let store = store().await;
    let child = |mut image: Value, architecture: &str| {
        image["platform"] = json!({ "os": "linux", "architecture": architecture });
        image
    };
    let one = store.image("app", None, &config("amd64", "1"), &["base", "one"]).await;
    let two = store.image("app", None, &config("amd64", "2"), &["base", "two"]).await;
    let arm = store.image("app", None, &config("arm64", "2"), &["arm"]).await;
    let mut attestation = child(arm.clone(), "riscv64");
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let index = |manifests: Value| json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let old = index(json!([child(one, "amd64")]));
    let new = index(json!([child(two, "amd64"), child(arm, "arm64"), attestation]));
    store.manifest("app", Some("old"), &old).await;
    store.manifest("app", Some("new"), &new).await;

    let list = store.get(&format!("{COMPARE}?a=old&b=new")).await;
    assert_eq!(list.status, StatusCode::OK);
    let to_amd64 = r#"<a href="?a=old&#38;b=new&#38;platform=linux%2Famd64">linux/amd64</a>"#;
    assert!(list.text.contains(to_amd64) && !list.text.contains("riscv64"), "{}", list.text);
    assert!(text_of(&list.text).contains("linux/arm64 only in new"), "{}", list.text);

    let page = store.get(&format!("{COMPARE}?a=old&b=new&platform=linux%2Famd64")).await;
    let text = text_of(&page.text);
    assert!(text.contains("VERSION 1 2 ≠ differs") && text.contains("In both: 1, 4 B"), "{text}");

    for platform in ["linux%2Farm64", "%3Cscript%3E"] {
        let lacking = store.get(&format!("{COMPARE}?a=old&b=new&platform={platform}")).await;
        assert_eq!(lacking.status, StatusCode::NOT_FOUND, "{platform}");
        assert!(lacking.text.contains("do not both have the platform"), "{}", lacking.text);
        assert!(lacking.text.contains(to_amd64) && !lacking.text.contains("<script>"), "{}", lacking.text);
    }
    // An image beside an index is compared with the index's image of its platform.
    let mixed = store.get(&format!("{COMPARE}?a=v1&b=new")).await;
    assert!(text_of(&mixed.text).contains("VERSION 1 2 ≠ differs"), "{}", mixed.text);
}
