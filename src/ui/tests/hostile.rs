//! Images that were made to break the page.

use http::StatusCode;
use serde_json::{Value, json};

use super::store::{IMAGE, INDEX, Store};

/// The largest page, in bytes.
const MAX_PAGE_BYTES: usize = 100 << 10;

/// Checks that a page is whole, small, and has no marks but ours.
async fn check(store: &Store, path: &str) -> String {
    let page = store.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
    assert!(page.text.len() < MAX_PAGE_BYTES, "{path}: {} bytes", page.text.len());
    let lower = page.text.to_lowercase();
    for mark in [
        "<script>",
        "<img",
        "<b>",
        "<iframe",
        "href=\"javascript",
        "href=\"data",
        "\u{202e}",
        "\u{0}",
        "\u{1b}",
    ] {
        assert!(!lower.contains(mark), "{path} has {mark:?}");
    }
    let mut marks = page.text.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    let odd = marks.find(|mark| mark.contains("alert(") || mark.contains("onerror"));
    assert_eq!(odd, None, "{path}");
    page.text
}

#[tokio::test]
async fn the_words_of_strangers_are_words() {
    let store = Store::open();
    let evil = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "exe.\u{202e}gnp",
        "a\u{0}b\u{1b}[31m",
    ];
    let labels: serde_json::Map<String, Value> =
        evil.iter().map(|text| ((*text).to_owned(), json!(text))).collect();
    let mut annotations = labels.clone();
    annotations.insert("org.opencontainers.image.title".to_owned(), json!("<b>title</b>"));
    annotations.insert("org.opencontainers.image.version".to_owned(), json!(evil[0]));
    let config = json!({
        "os": evil[0], "architecture": evil[3], "variant": evil[1],
        "config": { "Labels": labels, "Env": evil, "User": evil[1], "Entrypoint": evil, "ExposedPorts": { (evil[0]): {} } },
        "history": evil.map(|text| json!({ "created_by": text })),
    });
    let config =
        store.blob("app", "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()).await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [], "annotations": annotations,
    });
    let image = store.manifest("app", Some("v1"), &manifest).await;
    let attached = json!({
        "schemaVersion": 2, "mediaType": IMAGE, "artifactType": evil[1], "config": config, "layers": [], "subject": image,
    });
    store.manifest("app", Some("attached"), &attached).await;
    for path in [
        "/ui/app/-/tags",
        "/ui/app/-/tags/v1",
        "/ui/app/-/tags/attached",
        "/ui/app/-/compare?a=v1&b=attached",
        "/ui/app/-/compare?a=v1&b=v1",
    ] {
        check(&store, path).await;
    }
    let page = check(&store, "/ui/app/-/tags/v1").await;
    assert!(
        page.contains("&#60;script&#62;alert(1)&#60;/script&#62;") && page.contains("⟨U+202E⟩"),
        "{page}"
    );
}

#[tokio::test]
async fn what_is_large_is_cut() {
    let store = Store::open();
    let long = "x".repeat(1 << 20);
    let config = json!({
        "config": { "Labels": { "long": long.chars().take(900_000).collect::<String>() } },
        "history": vec![json!({ "created_by": "y" }); 5000],
    });
    store.image("app", Some("long"), &config, &["layer"]).await;
    let page = check(&store, "/ui/app/-/tags/long").await;
    let shown = page.matches("<bdi>y</bdi>").count();
    assert!(shown > 100 && page.contains(&format!("{} more are not shown.", 5000 - shown)), "{page}");

    let config = store.blob("app", "application/vnd.oci.image.config.v1+json", b"{}").await;
    let layer = store.blob("app", "application/vnd.oci.image.layer.v1.tar+gzip", b"layer").await;
    let many =
        json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": vec![layer; 10_000] });
    store.manifest("app", Some("many"), &many).await;
    assert!(check(&store, "/ui/app/-/tags/many").await.contains("Layers: 10000"));

    check(&store, "/ui/app/-/compare?a=long&b=many").await;
    let marks = "<".repeat(500);
    let labels: serde_json::Map<String, Value> =
        (0..500).map(|number| (format!("{number}{marks}"), json!(marks))).collect();
    let crowded = json!({ "config": { "Labels": labels, "Env": vec![marks.clone(); 500], "User": marks,
        "Entrypoint": vec![marks.clone(); 500], "WorkingDir": marks } });
    store.image("app", Some("crowded"), &crowded, &["layer"]).await;
    let layers: Vec<Value> = (0..2000)
        .map(|number| {
            let digest = sampan_engine::oci::Digest::sha256_of(format!("{number}").as_bytes()).to_string();
            let url = "https://layers.example/one";
            json!({ "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": digest, "size": u64::MAX / 4, "urls": [url] })
        })
        .collect();
    let foreign = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers });
    store.manifest("app", Some("foreign"), &foreign).await;
    for (a, b) in
        [("crowded", "foreign"), ("foreign", "crowded"), ("foreign", "foreign"), ("crowded", "crowded")]
    {
        check(&store, &format!("/ui/app/-/compare?a={a}&b={b}")).await;
    }

    let image = store.image("app", None, &json!({ "os": "linux" }), &["layer"]).await;
    let children: Vec<Value> = (0..1000)
        .map(|number| {
            let mut child = image.clone();
            child["platform"] = json!({ "os": "linux", "architecture": format!("cpu{number}") });
            child
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
    store.manifest("app", Some("wide"), &index).await;
    assert!(check(&store, "/ui/app/-/tags/wide").await.contains("800 more are not shown."));
    assert!(check(&store, "/ui/app/-/compare?a=wide&b=wide").await.contains("800 more are not shown."));
}

#[tokio::test]
async fn long_texts_in_long_lists_are_cut_together() {
    let store = Store::open();
    let long = "<".repeat(300);
    let numbered = |number: usize| format!("{number}{long}");
    let labels: serde_json::Map<String, Value> = (0..500).map(|it| (numbered(it), json!(long))).collect();
    let lines: Vec<String> = (0..500).map(numbered).collect();
    let config = json!({
        "config": { "Labels": labels, "Env": lines },
        "history": lines.iter().map(|line| json!({ "created_by": line })).collect::<Vec<_>>(),
    });
    store.image("app", Some("long"), &config, &["layer"]).await;
    check(&store, "/ui/app/-/tags/long").await;

    let word = "<".repeat(64);
    let mut children = Vec::new();
    for number in 0..8 {
        let config =
            json!({ "os": format!("{}{number}", &word[1..]), "architecture": word, "variant": word });
        children.push(store.image("list", None, &config, &["layer"]).await);
    }
    let version = json!({ "org.opencontainers.image.version": &long[..250] });
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children, "annotations": version });
    for number in 0..50 {
        store.manifest("list", Some(&format!("{number}{}", "t".repeat(126))), &index).await;
    }
    check(&store, "/ui/list/-/tags").await;
    // The next page begins where the room of the one before ended.
    let (mut path, mut tags) = ("/ui/list/-/tags".to_owned(), 0);
    loop {
        let page = store.get(&path).await;
        tags += page.rows().len();
        let Some((before, _)) = page.text.split_once(r#"" rel="next">"#) else { break };
        path = before.rsplit('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(tags, 50);
}

#[tokio::test]
async fn what_is_odd_has_a_page_that_says_so() {
    let store = Store::open();
    let mut nested = store.image("app", None, &json!({}), &["layer"]).await;
    for _ in 0..5 {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [nested] });
        nested = store.manifest("app", Some("deep"), &index).await;
    }
    check(&store, "/ui/app/-/tags/deep").await;
    check(&store, "/ui/app/-/compare?a=deep&b=deep").await;

    for (tag, config) in [
        ("list", &b"[]"[..]),
        ("text", b"no json"),
        ("empty", b"{}"),
        ("odd", br#"{"config":7,"history":"x"}"#),
    ] {
        let config = store.blob("app", "application/vnd.oci.image.config.v1+json", config).await;
        let manifest = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [] });
        store.manifest("app", Some(tag), &manifest).await;
        check(&store, &format!("/ui/app/-/tags/{tag}")).await;
        check(&store, &format!("/ui/app/-/compare?a={tag}&b=deep")).await;
    }
    check(&store, "/ui/app/-/tags").await;
}
