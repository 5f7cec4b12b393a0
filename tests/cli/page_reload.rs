//! The section `ui`, and the keys of its sessions, taken over at SIGHUP.

use std::fs;

use sampan::auth::rotate_signing_key;

use crate::clients::support::{RegistryProcess, filesystem_config, registry};

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

#[test]
fn a_reload_that_waits_for_a_file_does_not_delay_the_end() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let directory = tempfile::tempdir().unwrap();
    let mut registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    // No program writes to the pipe, so opening it for reading blocks.
    let path = directory.path().join("sampan.yml");
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    registry.process.signal("HUP");
    registry.process.wait_for(|line| line.contains("SIGHUP: reading").then_some(()));
    assert!(registry.process.terminate().success());
}

#[test]
fn sessions_last_as_long_as_their_signing_key_and_count_at_each_replica() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("htpasswd"), format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
    let key = path("signing.pem");
    let config = |data: &str| {
        let (base, htpasswd) = (filesystem_config(&path(data)), path("htpasswd"));
        let (htpasswd, key) = (htpasswd.display(), key.display());
        format!(
            "{base}auth: {{htpasswd: {{realm: Registry, path: {htpasswd}}}}}\n\
             access: {{rules: [{{who: users, may: pull, on: '**'}}], tokens: {{signingkey: {key}}}}}\n\
             ui: {{enabled: true}}\n"
        )
    };
    let [one, other] = ["one", "other"].map(|name| {
        fs::create_dir(path(name)).unwrap();
        registry(&path(name), &config(&format!("{name}/data")))
    });
    let send =
        |registry: &RegistryProcess, method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
            registry.wire().send(method, path, headers, body.as_bytes())
        };
    let log_in = |registry: &RegistryProcess| {
        let form = send(registry, "GET", "/ui/-/login", &[("Accept", "text/html")], "");
        let form = String::from_utf8_lossy(&form.body).into_owned();
        let form = form.split("action=\"/ui/-/login\"").nth(1).unwrap();
        let token = form.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let headers = [("Sec-Fetch-Site", "same-origin")];
        let form = format!("token={token}&user=ann&password=secret");
        let answer = send(registry, "POST", "/ui/-/login", &headers, &form);
        assert_eq!(answer.status, 303);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let visit = |registry: &RegistryProcess, cookie: &str| {
        send(registry, "GET", "/ui/", &[("Accept", "text/html"), ("Cookie", cookie)], "").status
    };
    let reload = |registry: &RegistryProcess| {
        registry.process.signal("HUP");
        registry.process.wait_for(|line| line.contains("SIGHUP: nothing has changed").then_some(()));
    };
    let old = log_in(&one);
    assert_eq!((visit(&one, &old), visit(&other, &old)), (200, 200));

    rotate_signing_key(&key).unwrap();
    reload(&one);
    let new = log_in(&one);
    assert_eq!((visit(&one, &old), visit(&one, &new)), (200, 200));
    assert_eq!((visit(&other, &old), visit(&other, &new)), (200, 401), "it does not know the new key yet");
    reload(&other);
    assert_eq!(visit(&other, &new), 200);

    // The first key alone.
    let pem = fs::read_to_string(&key).unwrap();
    let end = "-----END PRIVATE KEY-----\n";
    fs::write(&key, pem.split_inclusive(end).next().unwrap()).unwrap();
    reload(&one);
    assert_eq!((visit(&one, &old), visit(&one, &new)), (401, 200));
}
