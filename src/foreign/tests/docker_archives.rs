//! Docker archives of docker before 25, podman, and crane, and directories of skopeo.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use sampan_engine::oci::{Algorithm, Digest, Manifest, media_type};
use sampan_foreign::{Error, ForeignOptions, Input, Notice};
use serde_json::{Value, json};
use tar::EntryType;

use self::support::{Archive, Files, check_contents, foreign, foreign_tar, gzip, names, path, rules, stream};

fn config(layers: &[&str]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::sha256_of(layer.as_bytes())).collect();
    json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids } })
        .to_string()
        .into_bytes()
}

fn hex(content: &[u8]) -> String {
    Digest::sha256_of(content).hex().to_owned()
}

/// As docker 24 writes it: a directory a layer, and links to layers that are there already.
fn old_docker() -> Archive {
    let mut archive = Archive::default();
    let (one, two) = (config(&["shared", "one"]), config(&["shared", "two"]));
    let id = |name: &str| hex(name.as_bytes());
    archive.file(&format!("{}.json", hex(&one)), &one);
    archive.file(&format!("{}.json", hex(&two)), &two);
    for (directory, layer) in [("a", "shared"), ("b", "one"), ("c", "two")] {
        archive.entry(EntryType::Directory, &format!("{}/", id(directory)), "", b"");
        archive.file(&format!("{}/VERSION", id(directory)), b"1.0");
        archive.file(&format!("{}/json", id(directory)), b"{}");
        archive.file(&format!("{}/layer.tar", id(directory)), layer.as_bytes());
    }
    let target = format!("../{}/layer.tar", id("a"));
    archive.entry(EntryType::Symlink, &format!("{}/layer.tar", id("d")), &target, b"");
    let layer = |name: &str| format!("{}/layer.tar", id(name));
    let manifest = json!([
        { "Config": format!("{}.json", hex(&one)), "RepoTags": ["app:1", "localhost:5000/team/app:one"], "Layers": [layer("a"), layer("b")] },
        { "Config": format!("{}.json", hex(&two)), "RepoTags": ["app:2"], "Layers": [layer("d"), layer("c")] },
    ]);
    archive.file("manifest.json", manifest.to_string().as_bytes());
    archive.file("repositories", b"{}");
    archive
}

#[tokio::test]
async fn an_old_docker_archive_gets_manifests_that_are_always_the_same() {
    let tar = old_docker().end();
    let reader = foreign_tar(tar.clone()).await.unwrap();
    assert_eq!(reader.notices(), [Notice::Remade]);
    // Two manifests, two configurations, three layers.
    assert_eq!(check_contents(&reader).await, 7);
    let found = names(&reader);
    let repositories: Vec<&str> = found.iter().map(|name| name.split(' ').next().unwrap()).collect();
    assert_eq!(repositories, ["library/app:1", "library/app:2", "team/app:one"]);
    assert_eq!(found, names(&foreign(stream(gzip(&tar)), ForeignOptions::default()).await.unwrap()));

    let bytes = reader.read_whole(0, 1 << 20).await.unwrap();
    let layers = ["shared", "one"].map(|layer| {
        let digest = Digest::sha256_of(layer.as_bytes());
        json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.len() })
    });
    let expected: Value = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::sha256_of(&config(&["shared", "one"])),
            "size": config(&["shared", "one"]).len(),
        },
        "layers": layers,
    });
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), expected);
    assert!(bytes.starts_with(br#"{"schemaVersion":2,"mediaType":"#));
    Manifest::parse_pushed(&bytes, None).unwrap();
}

/// crane, and podman with its own names.
#[tokio::test]
async fn compressed_layers_stay_as_they_are() {
    for (config_name, compressed) in [("sha256:HEX", true), ("HEX.json", false)] {
        let (config, layer) = (config(&["layer"]), b"layer".to_vec());
        let stored = if compressed { gzip(&layer) } else { layer };
        let extension = if compressed { "tar.gz" } else { "tar" };
        let (config_name, layer_name) =
            (config_name.replace("HEX", &hex(&config)), format!("{}.{extension}", hex(&stored)));
        let mut files = Files::default();
        files.add(&config_name, config);
        files.add(&layer_name, stored.clone());
        let manifest =
            json!([{ "Config": config_name, "RepoTags": ["quay.io/team/app:1"], "Layers": [layer_name] }]);
        files.add("manifest.json", manifest.to_string());
        let reader = foreign_tar(files.tar()).await.unwrap();
        assert_eq!(check_contents(&reader).await, 3);
        let manifest = Manifest::parse(&reader.read_whole(0, 1 << 20).await.unwrap(), None).unwrap();
        assert_eq!(manifest.layers[0].digest, Digest::sha256_of(&stored));
        assert_eq!(manifest.layers[0].media_type.ends_with("+gzip"), compressed);
        assert!(names(&reader)[0].starts_with("team/app:1 "));
    }
}

#[tokio::test]
async fn archives_that_contradict_themselves_are_refused() {
    let (config, layer) = (config(&["layer"]), hex(b"layer"));
    let config_name = format!("{}.json", hex(&config));
    let item =
        |config: &str, layers: Value| json!([{ "Config": config, "RepoTags": ["a:1"], "Layers": layers }]);
    let layer_name = format!("{layer}.tar");
    for (manifest, layer_content, problem) in [
        (item(&config_name, json!([])), &b"layer"[..], "it has 1 layers, and manifest.json names 0"),
        (item("../etc/passwd", json!([layer_name])), b"layer", "no path of a configuration"),
        (item("/etc/passwd", json!([layer_name])), b"layer", "no path of a configuration"),
        (item("index.json", json!([layer_name])), b"layer", "no path of a configuration"),
        (item(&format!("{layer}.json"), json!([layer_name])), b"layer", "is missing from the file"),
        (item(&config_name, json!([format!("{layer}/layer.tar")])), b"layer", "is missing from the file"),
        (item(&config_name, json!([layer_name])), &gzip(b"other"), "its decompressed content hashes to"),
        (item(&config_name, json!([layer_name])), &gzip(b"layer")[..12], "gzip data are damaged"),
        (json!([{ "Config": 1 }]), b"layer", "manifest.json: invalid type"),
        (json!([]), b"layer", "lists no image"),
        (json!("text"), b"layer", "no list of images"),
        (json!({ "Config": "x" }), b"layer", "no list of images"),
    ] {
        let mut files = Files::default();
        files.add(&config_name, config.clone());
        files.add(&layer_name, layer_content);
        files.add("manifest.json", manifest.to_string());
        let error = foreign_tar(files.tar()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(problem), "{problem}: {error}");
    }
    let mut files = Files::default();
    files.add(&config_name, config.clone());
    files.add(&layer_name, "layer");
    let nameless = json!([{ "Config": config_name, "RepoTags": null, "Layers": [layer_name] }]);
    files.add("manifest.json", nameless.to_string());
    let error = foreign_tar(files.tar()).await.unwrap_err();
    assert!(matches!(error, Error::Unnamed(_)), "{error}");
}

/// docker from 25 on writes both; only the layout has the digests.
#[tokio::test]
async fn the_layout_of_a_hybrid_counts() {
    let mut files = Files::default();
    let image = files.image(&["layer"]);
    files.list(&[(&image, &[("io.containerd.image.name", "docker.io/library/app:1")])]);
    files.add("manifest.json", "no JSON at all");
    files.add("repositories", "{}");
    let reader = foreign_tar(files.tar()).await.unwrap();
    assert_eq!(names(&reader), [format!("library/app:1 {image}")]);
    assert_eq!(reader.notices(), []);
}

#[tokio::test]
async fn a_directory_of_skopeo_is_read() {
    let mut layout = Files::default();
    let children = [layout.image(&["one"]), layout.image(&["two"])];
    let index = layout.index(&children);
    let mut files = Files::default();
    files.add("version", "Directory Transport Version: 1.1\n");
    for (name, content) in &layout.0 {
        let hex = name.rsplit('/').next().unwrap();
        match name {
            name if *name == path(&index) => files.add("manifest.json", content.clone()),
            name if children.iter().any(|child| *name == path(child)) => {
                files.add(format!("{hex}.manifest.json"), content.clone());
            }
            _ => files.add(hex, content.clone()),
        }
    }
    let directory = files.directory();
    let input = || Input::Paths(vec![directory.path().to_owned()]);
    let error = foreign(input(), ForeignOptions::default()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("`--map @{index}=REPOSITORY:TAG`")), "{error}");
    let rule = format!("@{index}=team/app:1");
    let reader = foreign(input(), rules(&[&rule])).await.unwrap();
    assert_eq!(names(&reader), [format!("team/app:1 {index}")]);
    assert_eq!(check_contents(&reader).await, 7);
}

#[tokio::test]
async fn a_directory_of_skopeo_may_name_content_by_sha512() {
    for prefix in ["", "sha512-"] {
        let mut files = Files::default();
        let mut add = |content: &[u8], kind: &str, ending: &str| {
            let digest = Digest::of(Algorithm::Sha512, content);
            files.add(format!("{prefix}{}{ending}", digest.hex()), content);
            json!({ "mediaType": kind, "digest": digest, "size": content.len() })
        };
        let image = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": add(b"{}", media_type::OCI_IMAGE_CONFIG, ""),
            "layers": [add(b"layer", support::LAYER, "")],
        });
        let child = add(image.to_string().as_bytes(), media_type::OCI_MANIFEST, ".manifest.json");
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [child] })
            .to_string();
        files.add("manifest.json", index.clone());
        let directory = files.directory();
        let rule = format!("@{}=team/app:1", Digest::sha256_of(index.as_bytes()));
        let input = Input::Paths(vec![directory.path().to_owned()]);
        let reader = foreign(input, rules(&[&rule])).await.unwrap();
        assert_eq!(reader.plan().contents.len(), 4, "{prefix}");
    }
}
