//! Images by sha512 digests: they keep these names on every way over the gap.

use std::fs;
use std::path::PathBuf;

use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference, RepositoryName, media_type};
use sampan_engine::{Limits, Registry};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Ended, expect};
use crate::clients::support::{RegistryProcess, filesystem_config, registry, write_config};
use crate::support::StoreFiles;

/// A near store with images by sha512, a far one without, and directories for others.
struct Gap {
    directory: TempDir,
    near: StoreFiles,
    image: Digest,
}

fn sha512(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha512, content)
}

/// A blob that a repository has by both digests, as after a push by sha512.
fn blob(store: &StoreFiles, repository: &str, content: &str, kind: &str) -> Value {
    let (canonical, long) = (store.layer(repository, content), sha512(content.as_bytes()));
    store.write(&Entry::LayerLink(repository.parse().unwrap(), long.clone()), canonical.to_string());
    json!({ "mediaType": kind, "digest": long, "size": content.len() })
}

fn image(store: &StoreFiles, repository: &str, tag: &str, layers: &[&str]) -> Digest {
    let name: RepositoryName = repository.parse().unwrap();
    let config = format!(r#"{{"architecture":"amd64","os":"linux","author":"{tag}"}}"#);
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| blob(store, repository, layer, "application/vnd.oci.image.layer.v1.tar"))
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": blob(store, repository, &config, media_type::OCI_IMAGE_CONFIG),
        "layers": layers,
    });
    let (canonical, long) = (store.manifest(repository, &manifest), sha512(manifest.to_string().as_bytes()));
    store.write(&Entry::RevisionLink(name.clone(), long.clone()), canonical.to_string());
    store.tag(repository, tag, &canonical);
    store.write(&Entry::TagDigest(name, tag.parse().unwrap()), long.to_string());
    long
}

impl Gap {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let near = StoreFiles::new(&directory.path().join("near"));
        let (shared, own) = ("shared".repeat(1_000_000), "own".repeat(1_000));
        let image = image(&near, "team/app", "1.0", &[&shared, &own]);
        self::image(&near, "other", "v2", &[&shared]);
        for side in ["near", "far", "third"] {
            fs::create_dir(directory.path().join(format!("config-{side}"))).unwrap();
            let config = filesystem_config(&directory.path().join(side));
            write_config(directory.path(), &format!("{side}.yml"), &config);
        }
        Self { directory, near, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn expect(&self, code: i32, args: &[&str]) -> Ended {
        expect(self.directory.path(), code, args)
    }

    fn serve(&self, side: &str) -> RegistryProcess {
        registry(&self.path(&format!("config-{side}")), &filesystem_config(&self.path(side)))
    }

    fn lists(&self, side: &str) -> [String; 3] {
        let config = format!("{side}.yml");
        ["inventory", "ls", "du"].map(|command| self.expect(0, &[command, "-c", &config]).stdout)
    }
}

#[test]
fn a_bundle_keeps_them_between_stores() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    gap.expect(0, &["bundle", "verify", "b.tar"]);
    gap.expect(0, &["import", "b.tar", "-c", "far.yml", "--receipt", "receipt"]);
    let near = gap.lists("near");
    assert_eq!(gap.lists("far"), near);
    let unreferenced = near[2].lines().find(|line| line.starts_with("without a reference: "));
    assert!(unreferenced.is_some_and(|line| line.starts_with("without a reference: 0 B")), "{}", near[2]);
    let again = gap.expect(0, &["import", "b.tar", "-c", "far.yml", "--tags", "fail"]).stdout;
    assert!(again.contains("0 images imported, 2 there already: 0 blobs"), "{again}");
    gap.expect(0, &["verify", "-c", "far.yml"]);
    gap.expect(0, &["export", "**", "-c", "far.yml", "-o", "c.tar"]);
    assert!(fs::read(gap.path("c.tar")).unwrap() == fs::read(gap.path("b.tar")).unwrap());
    for have in ["receipt", "b.tar"] {
        let delta =
            gap.expect(0, &["export", "**", "-c", "near.yml", "--have", have, "-o", "-", "--dry-run"]);
        assert!(delta.stderr.contains("0 images of 0 repositories"), "{have}: {delta:?}");
    }
}

#[test]
fn a_registry_that_is_written_by_its_url_has_them() {
    let gap = Gap::new();
    let (near, far, third) = (gap.serve("near"), gap.serve("far"), gap.serve("third"));
    let [near, far, third] = [near.host(), far.host(), third.host()];
    let listed = gap.expect(0, &["ls", "--url", &near]).stdout;
    assert!(listed.contains(&format!("team/app:1.0\t{}", gap.image)), "{listed}");
    gap.expect(0, &["export", "**", "--from", &near, "-o", "b.tar"]);
    gap.expect(0, &["export", "**", "-c", "near.yml", "--name-host", &near, "-o", "local.tar"]);
    assert!(fs::read(gap.path("b.tar")).unwrap() == fs::read(gap.path("local.tar")).unwrap());
    for (to, command) in [
        (&far, &["import", "b.tar", "--to", &far][..]),
        (&third, &["copy", "**", "--from", &near, "--to", &third]),
    ] {
        gap.expect(0, command);
        assert_eq!(gap.expect(0, &["ls", "--url", to]).stdout, listed, "{command:?}");
        let again = gap.expect(0, &[command, &["--tags", "fail"]].concat()).stdout;
        assert!(again.contains("0 images") && again.contains("2 there already: 0 blobs"), "{again}");
    }
    let inventory = |url: &str| gap.expect(0, &["inventory", "--from", url]).stdout;
    assert_eq!(inventory(&far), inventory(&near));
    assert!(inventory(&far).contains(&format!("team/app:1.0 {}\n", gap.image)));
}

#[test]
fn a_delta_presumes_them_and_places_them_in_other_repositories() {
    for by_url in [false, true] {
        let gap = Gap::new();
        let far = gap.serve("far");
        let host = far.host();
        let to: &[&str] = if by_url { &["--to", &host] } else { &["-c", "far.yml"] };
        let from: &[&str] = if by_url { &["--from", &host] } else { &["-c", "far.yml"] };
        gap.expect(0, &["export", "team/app", "-c", "near.yml", "-o", "first.tar"]);
        gap.expect(0, &[&["import", "first.tar"], to].concat());
        gap.expect(0, &[&["inventory", "-o", "far.txt"], from].concat());
        for have in ["far.txt", "first.tar"] {
            let delta = format!("{have}.delta");
            gap.expect(0, &["export", "**", "-c", "near.yml", "--have", have, "-o", &delta]);
            let listed = gap.expect(0, &["bundle", "ls", &delta]).stdout;
            assert!(listed.contains("the far side must have 1 blob"), "{listed}");
            let refused = gap.expect(5, &["import", &delta, "-c", "third.yml"]).stderr;
            assert!(refused.contains("lacks one blob") && refused.contains("sha512:"), "{refused}");
            gap.expect(0, &[&["bundle", "verify", &delta, "--against"], &to[1..]].concat());
            gap.expect(0, &[&["import", &delta], to].concat());
        }
        assert_eq!(gap.lists("far"), gap.lists("near"), "by URL: {by_url}");
    }
}

#[tokio::test]
async fn a_tag_that_is_restored_has_its_digest_again() {
    let gap = Gap::new();
    let long = gap.image.to_string();
    let config = FilesystemConfig { rootdirectory: gap.path("near"), ..FilesystemConfig::default() };
    let limits = Limits { delete: true, ..Limits::default() };
    let registry = Registry::builder(config.build().await.unwrap()).limits(limits).build();
    let manifests = registry.repository("team/app".parse().unwrap()).manifests();
    for (reference, restored) in [("1.0", None), ("1.0", Some(&long)), (&*long, None), (&*long, Some(&long))]
    {
        manifests.delete(&reference.parse::<Reference>().unwrap()).await.unwrap();
        let mut args = vec!["tag", "restore", "-c", "near.yml", "team/app", "1.0"];
        args.extend(restored.map(String::as_str));
        gap.expect(0, &args);
        let listed = gap.expect(0, &["ls", "-c", "near.yml"]).stdout;
        assert!(listed.contains(&format!("team/app:1.0\t{long}")), "{reference} {restored:?}: {listed}");
        assert!(gap.near.has(&Entry::TagDigest("team/app".parse().unwrap(), "1.0".parse().unwrap())));
    }
}
