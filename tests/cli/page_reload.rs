//! The section `ui`, taken over at SIGHUP.

use std::fs;

use crate::clients::support::{filesystem_config, registry};

#[test]
fn the_page_is_switched_and_renamed_by_sighup() {
    let directory = tempfile::tempdir().unwrap();
    let config = filesystem_config(&directory.path().join("data"));
    let registry = registry(directory.path(), &config);
    let get = |path: &str| {
        let answer = registry.wire().send("GET", path, &[("Accept", "text/html")], b"");
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let reload = |ui: &str, expected: &str| {
        fs::write(directory.path().join("sampan.yml"), format!("{config}{ui}")).unwrap();
        registry.process.signal("HUP");
        registry.process.wait_for(|line| line.contains(expected).then_some(()));
    };
    assert_eq!(get("/ui/").0, 404);

    reload("ui: {enabled: true, title: First}\n", "SIGHUP: applied: ui");
    let (status, page) = get("/ui/");
    assert!(status == 200 && page.contains("<title>Repositories · First</title>"), "{page}");
    assert_eq!(get("/").0, 302);

    let moved = "ui: {enabled: true, title: Second, path: /page, language: zh-Hant, pullhost: hub.example}\n";
    reload(moved, "SIGHUP: applied: ui");
    let (status, page) = get("/page/");
    assert!(status == 200 && page.contains("· Second</title>"), "{page}");
    assert!(
        page.contains("lang=\"zh-Hant-HK\"") && page.contains("docker push hub.example/alpine"),
        "{page}"
    );
    assert_eq!(get("/ui/").0, 404);

    // A broken file changes nothing; what stays the same is not replaced.
    reload("ui: {enabled: maybe}\n", "level=error");
    assert!(get("/page/").1.contains("· Second</title>"));
    reload(moved, "SIGHUP: nothing has changed in");

    reload("ui: {enabled: false}\n", "SIGHUP: applied: ui");
    assert_eq!((get("/page/").0, get("/").0), (404, 200));
    assert!(!registry.process.log().contains("needs a restart"), "{}", registry.process.log());
}
