//! `registry ls` and `registry du`, from the store and by the API.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::clients::support::{RegistryProcess, TokenServer, filesystem_config, registry};
use crate::support::StoreFiles;

const SHARED: &str = "a layer of 2000 bytes";

/// Two repositories with one layer between them, an index, an untagged image and a blob that nothing refers to.
fn store(directory: &Path) -> (StoreFiles, Digest) {
    let store = StoreFiles::new(&directory.join("data"));
    let layer = |name: &str, size: usize| format!("{name:x<size$}");
    let one = store.image("team/app", "one", &[layer(SHARED, 2000), layer("own", 3000)]);
    store.tag("team/app", "v1", &one);
    let manifest = fs::read(store.path(&Entry::Blob(one.clone()))).unwrap();
    let size = manifest.len();
    // It is no second manifest under its other digest.
    let alias = Digest::of(Algorithm::Sha512, &manifest);
    let alias = store.path(&Entry::RevisionLink("team/app".parse().unwrap(), alias));
    fs::create_dir_all(alias.parent().unwrap()).unwrap();
    fs::write(alias, one.to_string()).unwrap();
    let index = store.manifest("team/app", &crate::support::store::index(&[(&one, size)]));
    store.tag("team/app", "multi", &index);
    store.image("team/app", "untagged", &[layer("untagged", 500)]);
    let two = store.image("other", "two", &[layer(SHARED, 2000)]);
    store.tag("other", "v2", &two);
    store.blob(layer("garbage", 1500));
    fs::write(directory.join("sampan.yml"), filesystem_config(&directory.join("data"))).unwrap();
    (store, one)
}

/// Every file with its time.
fn state(store: &StoreFiles, root: &Path) -> BTreeMap<String, SystemTime> {
    let modified = |path: &String| fs::metadata(root.join(&path[1..])).unwrap().modified().unwrap();
    store.files().into_iter().map(|path| (path.clone(), modified(&path))).collect()
}

fn ask(directory: &Path, args: &[&str]) -> Ended {
    let ended = end(binary(directory).args(args), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

fn json(directory: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&ask(directory, &[args, &["--format", "json"]].concat()).stdout).unwrap()
}

fn url(registry: &RegistryProcess) -> String {
    format!("http://{}", registry.address)
}

/// The list is on standard output, and nothing else is.
#[test]
fn an_inventory_shows_its_progress_beside_the_list() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let quiet = ask(directory.path(), &["inventory", "-c", "sampan.yml", "--quiet"]);
    let shown = ask(directory.path(), &["inventory", "-c", "sampan.yml", "--progress", "json"]);
    assert_eq!((&quiet.stdout, &*quiet.stderr), (&shown.stdout, ""));
    let last: Value = serde_json::from_str(shown.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(last["images"], 3, "{last}");
    assert!(last["bytes"].as_u64().unwrap() > 500, "{last}");
}

#[test]
fn the_store_and_the_registry_over_it_list_the_same_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let (store, one) = store(directory.path());
    let before = state(&store, &directory.path().join("data"));
    let stored = ask(directory.path(), &["ls", "-c", "sampan.yml"]).stdout;
    let lines: Vec<&str> = stored.lines().collect();
    assert_eq!(lines.len(), 3, "{stored}");
    assert!(lines[0].starts_with("other:v2\tsha256:") && lines[0].contains("\tlinux/amd64\t"), "{stored}");
    assert!(lines[2].starts_with(&format!("team/app:v1\t{one}\tlinux/amd64\t5")), "{stored}");
    let usage = json(directory.path(), &["du", "-c", "sampan.yml"]);
    assert_eq!(state(&store, &directory.path().join("data")), before);

    // A registry that keeps leases, as with a grace; reading the store beside it takes none.
    let config = filesystem_config(&directory.path().join("data")).replace("http:", "gc: {grace: 1h}\nhttp:");
    let registry = registry(directory.path(), &config);
    assert_eq!(ask(directory.path(), &["ls", "--url", &url(&registry)]).stdout, stored);
    let remote = json(directory.path(), &["du", "--url", &url(&registry)]);

    let [other, app] = [&usage["repositories"][0], &usage["repositories"][1]];
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!((&app["tags"], &app["manifests"], &other["manifests"]), (&2.into(), &3.into(), &1.into()));
    for repository in [other, app] {
        assert_eq!(number(&repository["shared_bytes"]), 2000, "{usage}");
        let sum = number(&repository["shared_bytes"]) + number(&repository["own_bytes"]);
        assert_eq!(sum, number(&repository["size_bytes"]));
    }
    assert_eq!(
        number(&usage["size_bytes"]) + 2000,
        number(&app["size_bytes"]) + number(&other["size_bytes"])
    );
    assert_eq!(usage["unreferenced_bytes"], 1500);
    // The API does not list what has no tag.
    assert_eq!(
        (&remote["unreferenced_bytes"], &remote["repositories"][1]["manifests"]),
        (&Value::Null, &2.into())
    );
    assert_eq!(remote["repositories"][0], *other);
    let text = ask(directory.path(), &["du", "-c", "sampan.yml", "other"]).stdout;
    assert!(text.contains("\nother\t1\t1\t") && !text.contains("team/app"), "{text}");
}

#[test]
fn an_inventory_names_what_it_cannot_list() {
    let directory = tempfile::tempdir().unwrap();
    let (store, one) = store(directory.path());
    fs::write(store.path(&Entry::Blob(one.clone())), "short").unwrap();
    let listed = ask(directory.path(), &["inventory", "-c", "sampan.yml"]);
    assert!(
        listed.stdout.contains("other:v2 sha256:") && !listed.stdout.contains("team/app:v1"),
        "{listed:?}"
    );
    assert!(listed.stdout.contains(&format!("{one} 5 team/app")), "{listed:?}");
    assert!(listed.stderr.contains("team/app:v1 is not listed"), "{listed:?}");
}

#[test]
fn repositories_are_chosen_by_name_or_by_what_is_above_them() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    for (name, lines) in [("team", 2), ("team/app", 2), ("other", 1)] {
        let listed = ask(directory.path(), &["ls", "-c", "sampan.yml", name]).stdout;
        assert_eq!(listed.lines().count(), lines, "{listed}");
    }
    let listed = json(directory.path(), &["ls", "-c", "sampan.yml", "other"]);
    assert_eq!(
        (&listed[0]["repository"], &listed[0]["tags"][0]["tag"]),
        (&"other".into(), &"v2".into()),
        "{listed}"
    );
    for command in ["ls", "du"] {
        let ended = end(binary(directory.path()).args([command, "-c", "sampan.yml", "tea"]), "");
        assert!(ended.code == Some(1) && ended.stderr.contains("no such repository: tea"), "{ended:?}");
    }
    fs::write(directory.path().join("sampan.yml"), filesystem_config(&directory.path().join("nowhere")))
        .unwrap();
    let ended = end(binary(directory.path()).args(["ls", "-c", "sampan.yml"]), "");
    assert!(ended.code == Some(1) && ended.stderr.contains("there is no store"), "{ended:?}");
    assert!(!directory.path().join("nowhere").exists());
}

#[test]
fn a_registry_that_asks_for_a_password_or_a_token_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let hash = "alice:$2y$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2\n";
    fs::write(directory.path().join("htpasswd"), hash).unwrap();
    let data = filesystem_config(&directory.path().join("data"));
    let file = directory.path().join("htpasswd");
    let htpasswd = registry(
        directory.path(),
        &format!("{data}auth: {{htpasswd: {{realm: r, path: {}}}}}\n", file.display()),
    );
    let ls = |url: &str, more: &[&str], input: &str| {
        end(binary(directory.path()).args(["ls", "--url", url]).args(more), input)
    };
    let ended = ls(&url(&htpasswd), &[], "");
    assert!(ended.code == Some(1) && ended.stderr.contains("requires a login"), "{ended:?}");
    let ended = ls(&url(&htpasswd), &["--user", "alice"], "wrong\n");
    assert!(ended.code == Some(1) && ended.stderr.contains("refuses the credentials of alice"), "{ended:?}");
    let ended = ls(&url(&htpasswd), &["--user", "alice"], "wonderland\n");
    assert!(ended.code == Some(0) && ended.stdout.contains("team/app:v1"), "{ended:?}");
    // The login of docker serves as well; `alice:wonderland` in base64.
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"YWxpY2U6d29uZGVybGFuZA=="}}}}}}"#, htpasswd.address);
    fs::write(directory.path().join("config.json"), login).unwrap();
    let mut binary = binary(directory.path());
    let address = htpasswd.address.to_string();
    let ended = end(binary.env("DOCKER_CONFIG", directory.path()).args(["ls", "--url", &address]), "");
    assert!(ended.code == Some(0) && ended.stdout.contains("team/app:v1"), "{ended:?}");
}

#[test]
fn a_token_is_fetched_for_each_scope() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let server = TokenServer::start();
    let config = filesystem_config(&directory.path().join("data")) + &server.auth_section(&server.jwks_url());
    let registry = registry(directory.path(), &config);
    fs::write(directory.path().join("password"), "secret\n").unwrap();
    let ended = end(
        binary(directory.path()).args([
            "ls",
            "team",
            "--url",
            &url(&registry),
            "--user",
            "anne",
            "--password-file",
            "password",
        ]),
        "",
    );
    assert!(ended.code == Some(0) && ended.stdout.contains("team/app:v1"), "{ended:?}");
    let asked = server.asked();
    assert!(asked.iter().any(|line| line.contains("registry:catalog:*")), "{asked:?}");
}

#[test]
fn a_file_or_a_url_is_not_taken_for_a_repository() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    for command in ["ls", "du"] {
        for (source, option) in
            [("sampan.yml", "--config"), ("not-there.yaml", "--config"), ("http://127.0.0.1:5000", "--url")]
        {
            let ended = end(binary(directory.path()).args([command, source]), "");
            assert_eq!(ended.code, Some(2), "{ended:?}");
            let remedy = format!("registry {command} {option} {source}");
            assert!(ended.stderr.contains(&remedy), "{ended:?}");
        }
        // A repository may well have such a name.
        let ended = end(binary(directory.path()).args([command, "-c", "sampan.yml", "team.yml"]), "");
        assert!(ended.code == Some(1) && ended.stderr.contains("no such repository: team.yml"), "{ended:?}");
    }
}

#[test]
fn a_store_that_is_not_there_is_told_with_the_configuration_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("sampan.yml"), filesystem_config(&directory.path().join("data")))
        .unwrap();
    for command in ["ls", "du", "garbage-collect"] {
        let mut binary = binary(directory.path());
        let ended = end(binary.env("REGISTRY_CONFIGURATION_PATH", "sampan.yml").arg(command), "");
        let told = ended.stderr.contains("sampan.yml (given by REGISTRY_CONFIGURATION_PATH)")
            && ended.stderr.contains("there is no store in");
        assert!(ended.code == Some(1) && told, "{ended:?}");
    }
}

#[test]
fn a_login_without_a_registry_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    for option in [&["--user", "alice"][..], &["--insecure"], &["--plain-http"], &["--cacert", "ca.crt"]] {
        let ended = end(binary(directory.path()).args(["ls", "-c", "sampan.yml"]).args(option), "");
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(&format!("{} needs --url", option[0])), "{ended:?}");
    }
}
