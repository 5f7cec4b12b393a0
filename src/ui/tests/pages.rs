//! What the pages show.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use sampan_engine::gc;
use sampan_engine::oci::{Digest, Reference};
use serde_json::json;

use super::store::{INDEX, Store};

#[tokio::test]
async fn an_empty_registry_says_how_to_begin() {
    let page = Store::open().get("/ui/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("docker push reg.test:5000/alpine"), "{}", page.text);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(page.header("cache-control"), "no-store");
    for forbidden in ["<style", " style=", " onclick=", "<script>", "http://", "https://"] {
        assert!(!page.text.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn repositories_are_found_by_text_and_by_prefix() {
    let store = Store::open();
    for name in ["base", "team/app", "team/web/front", "teams"] {
        store.image(name, Some("v1"), &json!({}), &["layer"]).await;
    }
    let names = async |query: &str| {
        let (status, page) = store.json(&format!("/ui/{query}")).await;
        assert_eq!(status, StatusCode::OK);
        let names =
            page["repositories"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("").await, "base team/app team/web/front teams");
    assert_eq!(names("?under=team/").await, "team/app team/web/front");
    assert_eq!(names("?under=team/web").await, "team/web/front");
    assert_eq!(names("?under=../../etc").await, "base team/app team/web/front teams");
    assert_eq!(names("?q=FRONT").await, "team/web/front");
    assert_eq!(names("?q=.*").await, "");
    assert_eq!(names("?after=team/app").await, "team/web/front teams");
    assert_eq!(names("?after=%00").await, "base team/app team/web/front teams");
    let nothing = store.get("/ui/?q=%3Cb%3E").await;
    assert!(nothing.text.contains("No name contains “&#60;b&#62;”."), "{}", nothing.text);
}

#[tokio::test]
async fn a_long_list_has_pages() {
    let store = Store::open();
    for number in 0..105 {
        store.image(&format!("r{number:03}"), Some("v1"), &json!({}), &["layer"]).await;
    }
    let first = store.get("/ui/").await;
    assert_eq!(first.rows().len(), 100);
    assert!(first.text.contains(r#"<a href="/ui/?after=r099" rel="next">"#), "{}", first.text);
    let second = store.get("/ui/?after=r099").await;
    assert_eq!((second.rows().len(), second.rows()[0][0].as_str()), (5, "r100"));
    assert!(second.text.contains("First page") && !second.text.contains("rel=\"next\""));
}

#[tokio::test]
async fn tags_are_sorted_and_say_which_are_the_same_image() {
    let store = Store::open();
    let one = store
        .image("app", Some("v1.9.0"), &json!({ "os": "linux", "architecture": "amd64" }), &["one"])
        .await;
    store
        .image("app", Some("v1.10.0"), &json!({ "os": "linux", "architecture": "arm64" }), &["one", "two"])
        .await;
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [one] });
    store.manifest("app", Some("latest"), &index).await;
    store.manifest("app", Some("stable"), &index).await;

    let page = store.get("/ui/app/-/tags?sort=version").await;
    let tags: Vec<String> = page.rows().into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(tags, ["v1.10.0", "v1.9.0", "stable Same image as latest", "latest Same image as stable"]);
    assert!(page.text.contains(r#"aria-sort="descending">Version"#), "{}", page.text);
    let row = &page.rows()[0];
    assert_eq!((row[4].as_str(), row[5].as_str()), ("Image linux/arm64", "43 B"));

    let odd = store.get("/ui/app/-/tags?sort=%3Cfoo%3E").await;
    assert!(odd.text.contains("“&#60;foo&#62;” is not a sort order"), "{}", odd.text);
    let (_, found) = store.json("/ui/app/-/tags?q=V1.9").await;
    assert_eq!(found["tags"].as_array().unwrap().len(), 1);
    assert_eq!(found["tags"][0]["digest"], one_digest(&index));
    assert_eq!(
        (&found["tags"][0]["kind"], &found["tags"][0]["platforms"][0]),
        (&json!("image"), &json!("linux/amd64"))
    );
}

#[tokio::test]
async fn tags_are_sorted_by_size_the_largest_first() {
    let store = Store::open();
    for (tag, bytes) in [("small", 10), ("large", 5000), ("middle", 700)] {
        store.image("app", Some(tag), &json!({}), &[&"x".repeat(bytes)]).await;
    }
    let tags = async |query: &str| {
        let (status, list) = store.json(&format!("/ui/app/-/tags{query}")).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let tags = list["tags"].as_array().unwrap().iter().map(|it| it["tag"].as_str().unwrap().to_owned());
        (tags.collect::<Vec<_>>().join(" "), list["sizesUnknown"].clone())
    };
    assert_eq!(tags("?sort=size").await, ("large middle small".to_owned(), json!(0)));
    assert_eq!(tags("?sort=size&q=m").await, ("middle small".to_owned(), json!(0)));
    assert_eq!(tags("?sort=name").await, ("large middle small".to_owned(), json!(null)));
    // A tag that is pushed again has its new size.
    store.image("app", Some("small"), &json!({}), &[&"y".repeat(9000)]).await;
    assert_eq!(tags("?sort=size").await.0, "small large middle");
    let page = store.get("/ui/app/-/tags?sort=size").await;
    assert!(page.text.contains(r#"class="number" aria-sort="descending">Size"#), "{}", page.text);
    assert!(
        store.get("/ui/app/-/tags").await.text.contains(r#"<a href="/ui/app/-/tags?sort=size">Size</a>"#)
    );
    assert!(!page.text.contains("not known yet"), "{}", page.text);
}

/// The clock stands still, so the number of sizes alone bounds what a list learns.
#[tokio::test(start_paused = true)]
async fn tags_whose_size_is_not_known_yet_come_last() {
    let store = Store::open();
    // They are pushed before all others, so they are read last.
    store.image("app", Some("first"), &json!({}), &[&"x".repeat(5000)]).await;
    store.image("app", Some("second"), &json!({}), &[&"x".repeat(6000)]).await;
    let small = store.image("app", None, &json!({}), &["small"]).await;
    let digest: Digest = small["digest"].as_str().unwrap().parse().unwrap();
    let repository = store.registry.repository("app".parse().unwrap());
    let bytes = repository.manifests().get(&Reference::Digest(digest)).await.unwrap().bytes;
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for number in 0..1000 {
        store.manifest("app", Some(&format!("t{number:03}")), &manifest).await;
    }
    let (_, first) = store.json("/ui/app/-/tags?sort=size").await;
    assert_eq!((&first["sizesUnknown"], &first["tags"][0]["tag"]), (&json!(2), &json!("t999")));
    let page = store.get("/ui/app/-/tags?sort=size").await;
    assert!(page.text.contains("Tags whose size is not known yet: 2."), "{}", page.text);
    // The end of the list.
    let (_, last) = store.json("/ui/app/-/tags?sort=size&after=t000").await;
    let tags: Vec<_> = last["tags"].as_array().unwrap().iter().map(|it| it["tag"].clone()).collect();
    assert_eq!(tags, [json!("second"), json!("first")]);
}

#[tokio::test]
async fn figures_come_from_the_survey_and_say_how_old_they_are() {
    let store = Store::open();
    store.image("small", Some("v1"), &json!({}), &["common"]).await;
    store.image("large/one", Some("v1"), &json!({}), &["common", &"x".repeat(5000)]).await;
    store.image("large/one", Some("v2"), &json!({}), &["common"]).await;
    let before = store.get("/ui/?sort=size").await;
    assert!(before.text.contains("Sizes are known after the first survey"), "{}", before.text);
    assert!(store.get("/ui/-/storage").await.text.contains("Sizes are known after the first survey"));

    let mut store = store;
    gc::collect(&store.registry, &gc::Options { grace: Duration::from_secs(3600), ..gc::Options::default() })
        .await
        .unwrap();
    // Pushed after the survey: it is there, without figures.
    store.image("new", Some("v1"), &json!({}), &["new"]).await;
    store.forget();
    let rows = store.get("/ui/").await.rows();
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["large / one", "new", "small"]);
    assert_eq!((rows[0][1].as_str(), rows[1][1].as_str()), ("2", ""));
    let by_size = store.get("/ui/?sort=size").await;
    assert!(
        by_size.text.contains(r#"aria-sort="descending">Size"#) && by_size.text.contains("Figures as of"),
        "{}",
        by_size.text
    );
    assert_eq!(by_size.rows()[0][0], "large / one");
    // A search looks into the survey, and offers the store itself.
    let search = store.get("/ui/?q=new").await;
    assert!(search.text.contains(r#"<a href="/ui/?q=new&#38;live=1">"#), "{}", search.text);
    assert_eq!(store.get("/ui/?q=new&live=1").await.rows()[0][0], "new");
    let (_, twin) = store.json("/ui/?sort=tags&q=s").await;
    assert_eq!(
        (&twin["repositories"][0]["name"], &twin["repositories"][0]["tags"]),
        (&json!("small"), &json!(1))
    );

    let storage = store.get("/ui/-/storage").await;
    assert_eq!(storage.rows()[0][0], "large/one");
    let text = super::store::text_of(&storage.text);
    assert!(text.contains("Repositories 2 Tags 3") && text.contains("In no repository 0 B"), "{text}");
    let users = Store::with_users();
    assert_eq!(users.get("/ui/-/storage").await.status, StatusCode::NOT_FOUND);
}

fn one_digest(index: &serde_json::Value) -> serde_json::Value {
    index["manifests"][0]["digest"].clone()
}

#[tokio::test]
async fn an_image_shows_how_it_was_built() {
    let store = Store::open();
    let config = json!({
        "os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z",
        "config": { "Entrypoint": ["/bin/app"], "Cmd": ["serve"], "Env": ["LANG=C.UTF-8"], "ExposedPorts": { "80/tcp": {} } },
        "history": [
            { "created_by": "ADD rootfs.tar /" },
            { "created_by": "ENV LANG=C.UTF-8", "empty_layer": true },
            { "created_by": "COPY app /bin/app" },
        ],
    });
    let image = store.image("app", Some("v1"), &config, &["rootfs", "application"]).await;
    let attached = json!({
        "schemaVersion": 2, "mediaType": super::store::IMAGE, "artifactType": "application/spdx+json",
        "config": store.blob("app", "application/vnd.oci.empty.v1+json", b"{}").await,
        "layers": [], "subject": image,
    });
    store.manifest("app", None, &attached).await;
    let page = store.get("/ui/app/-/tags/v1").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let text = super::store::text_of(&page.text);
    for part in [
        "docker pull reg.test:5000/app:v1",
        "Entrypoint [\"/bin/app\"]",
        "Command [\"serve\"]",
        "Ports 80/tcp",
        "LANG=C.UTF-8",
        "1 ADD rootfs.tar / 6 B",
        "2 ENV LANG=C.UTF-8 no layer",
        "3 COPY app /bin/app 11 B",
        "SBOM application/spdx+json",
        "2026-01-02 03:04 UTC",
        "Layers: 2",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let digest = image["digest"].as_str().unwrap();
    let by_digest = store.get(&format!("/ui/app/-/manifests/{digest}")).await;
    assert!(
        by_digest.text.contains(&format!("docker pull reg.test:5000/app@{digest}")),
        "{}",
        by_digest.text
    );
}

#[tokio::test]
async fn an_image_by_tag_shows_what_the_tag_was_before() {
    let store = Store::open();
    let first = store.image("app", Some("v1"), &json!({ "os": "linux" }), &["one"]).await;
    assert!(!store.get("/ui/app/-/tags/v1").await.text.contains("Earlier images"));
    store.image("app", Some("v1"), &json!({ "os": "linux" }), &["two"]).await;
    let page = store.get("/ui/app/-/tags/v1").await;
    let digest = first["digest"].as_str().unwrap();
    assert!(page.text.contains("Earlier images of v1 (1)"), "{}", page.text);
    assert!(page.text.contains(&format!("/ui/app/-/manifests/{digest}")), "{}", page.text);
}

#[tokio::test]
async fn figures_of_others_are_not_for_those_who_see_a_part() {
    let store = Store::with_users();
    store.image("public", Some("v1"), &json!({}), &["layer"]).await;
    store.image("team/app", Some("v1"), &json!({}), &["layer"]).await;
    gc::collect(&store.registry, &gc::Options::default()).await.unwrap();
    let (_, list) = store.json("/ui/").await;
    let [only] = list["repositories"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!((&only["name"], &only["tags"]), (&json!("public"), &json!(1)));
    assert!(only["bytes"].is_u64() && only["ownBytes"].is_null(), "{only}");
}

#[tokio::test]
async fn what_is_not_there_is_404_in_html() {
    let store = Store::open();
    store.image("app", Some("v1"), &json!({}), &["layer"]).await;
    for path in [
        "/ui/none/-/tags",
        "/ui/app/-/tags/v2",
        "/ui/app/-/nothing",
        "/ui/%00/-/tags",
        "/ui/../x",
        "/ui/-/nothing",
        "/ui/app/-/manifests/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "/ui/-/login",
    ] {
        let page = store.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            "{path}"
        );
    }
    let vanished = store.get("/ui/app/-/tags/v2").await;
    assert!(vanished.text.contains(r#"<a href="/ui/app/-/tags">Back to the tags</a>"#), "{}", vanished.text);
    for (path, to) in [("/ui", "/ui/"), ("/ui/app", "/ui/app/-/tags")] {
        let page = store.get(path).await;
        assert_eq!((page.status, page.header("location")), (StatusCode::MOVED_PERMANENTLY, to));
    }
    let wrong = store.send(Request::builder().method(Method::DELETE).uri("/ui/app/-/tags")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
}

#[tokio::test]
async fn files_of_the_page_never_change_under_their_names() {
    let store = Store::open();
    let page = store.get("/ui/").await.text;
    for part in page.split('"').filter(|part| part.starts_with("/ui/-/assets/")) {
        let file = store.get(part).await;
        assert_eq!(file.status, StatusCode::OK, "{part}");
        assert!(file.header("cache-control").contains("immutable"), "{part}");
    }
    assert_eq!(store.get("/ui/-/assets/style-0.css").await.status, StatusCode::NOT_FOUND);
}
