//! Bundles into Debian's `docker-registry`, Distribution 2.8, which refuses an index whose images are not all there.

use std::fs;
use std::path::Path;

use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{RegistryProcess, debian_registry, debian_registry_with, filesystem_config};
use crate::cli::support::{Ended, expect};
use crate::support::StoreFiles;

/// A store with an index `team/app:1.0`, and tags `1.1` to `1.4` of its first image; and a registry of Distribution.
struct Gap {
    directory: TempDir,
    far: RegistryProcess,
    index: Digest,
    image: Digest,
}

impl Gap {
    fn new(may_delete: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let near = StoreFiles::new(&path.join("near"));
        let child = |architecture: &str| {
            let image = near.image_manifest("team/app", architecture, &[format!("layer of {architecture}")]);
            let digest = near.manifest("team/app", &image);
            let child = json!({
                "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": image.to_string().len(),
                "platform": { "os": "linux", "architecture": architecture },
            });
            (digest, child)
        };
        let ((image, amd64), (_, arm64)) = (child("amd64"), child("arm64"));
        let index = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [amd64, arm64],
        });
        let index = near.manifest("team/app", &index);
        near.tag("team/app", "1.0", &index);
        for tag in ["1.1", "1.2", "1.3", "1.4"] {
            near.tag("team/app", tag, &image);
        }
        fs::write(path.join("near.yml"), filesystem_config(&path.join("near"))).unwrap();
        let far = match may_delete {
            true => debian_registry(path, &path.join("far")),
            false => {
                let config = filesystem_config(&path.join("far"));
                debian_registry_with(path, &config.replace("enabled: true", "enabled: false"))
            }
        };
        Self { directory, far, index, image }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn expect(&self, code: i32, args: &str) -> Ended {
        let args = args.replace("FAR", &format!("http://{}", self.far.host()));
        expect(self.path(), code, &args.split(' ').collect::<Vec<_>>())
    }

    /// A manifest of Distribution.
    fn far(&self, reference: &str) -> (Digest, Value) {
        let both = format!("{}, {}", media_type::OCI_INDEX, media_type::OCI_MANIFEST);
        let accept = ("accept", both.as_str());
        let path = format!("/v2/team/app/manifests/{reference}");
        let found = self.far.wire().send("GET", &path, &[accept], b"");
        assert_eq!(found.status, 200, "{found:?}");
        (Digest::sha256_of(&found.body), serde_json::from_slice(&found.body).unwrap())
    }

    /// The tags of Distribution, which lists them in no order.
    fn tags(&self) -> Vec<String> {
        let found = self.far.wire().send("GET", "/v2/team/app/tags/list", &[], b"");
        let list: Value = serde_json::from_slice(&found.body).unwrap();
        let mut tags: Vec<String> = serde_json::from_value(list["tags"].clone()).unwrap();
        tags.sort();
        tags
    }
}

#[test]
#[ignore = "needs docker-registry"]
fn distribution_takes_a_rewritten_index_and_refuses_one_with_gaps() {
    let gap = Gap::new(true);
    gap.expect(0, "export team/app:1.0 -c near.yml --platform linux/amd64 -o gaps.tar");
    let refused = gap.expect(1, "import gaps.tar --to FAR").stderr;
    assert!(refused.contains("`--rewrite-index`"), "{refused}");

    let rewritten = "export team/app:1.0 -c near.yml --platform linux/amd64 --rewrite-index -o whole.tar";
    let said = gap.expect(0, rewritten).stderr;
    gap.expect(0, "import whole.tar --to FAR");
    let (digest, index) = gap.far("1.0");
    assert!(said.contains(&format!("team/app:1.0: the index {} becomes {digest}", gap.index)), "{said}");
    let [child] = &index["manifests"].as_array().unwrap()[..] else { panic!("{index}") };
    assert_eq!(child["digest"], gap.image.to_string());
    gap.far(&gap.image.to_string());

    // The same by a copy, which finds everything there.
    let said =
        gap.expect(0, "copy team/app:1.0 --from near.yml --to FAR --platform linux/amd64 --rewrite-index");
    assert!(said.stderr.contains(&digest.to_string()), "{said:?}");
    assert!(said.stdout.contains("0 images copied, 1 there already"), "{said:?}");
}

/// Distribution 2 deletes a manifest with all its tags, so the tag stays, whatever the configuration allows.
#[test]
#[ignore = "needs docker-registry"]
fn distribution_keeps_its_tags_and_the_error_says_why() {
    for (may_delete, problem) in
        [(true, "Distribution removes no tag alone before version 3"), (false, "UNSUPPORTED")]
    {
        let gap = Gap::new(may_delete);
        gap.expect(0, "export ** -c near.yml -o old.tar");
        gap.expect(0, "import old.tar --to FAR");
        assert_eq!(gap.tags(), ["1.0", "1.1", "1.2", "1.3", "1.4"]);
        let near = StoreFiles::new(&gap.path().join("near"));
        let new = near.image("team/app", "new", &["new layer".to_owned()]);
        near.tag("team/app", "2.0", &new);
        let stale = Entry::TagCurrent("team/app".parse().unwrap(), "1.2".parse().unwrap());
        fs::remove_dir_all(near.path(&stale).parent().unwrap().parent().unwrap()).unwrap();
        gap.expect(0, "export ** -c near.yml -o new.tar");
        let planned = gap.expect(0, "import new.tar --to FAR --prune plan --dry-run").stdout;
        assert!(planned.contains("team/app:1.2 would be removed"), "{planned}");
        let refused = gap.expect(1, "import new.tar --to FAR --prune apply").stderr;
        assert!(refused.contains("refuses to delete team/app:1.2") && refused.contains(problem), "{refused}");
        // The import was done, and neither the tag nor another one of its image is gone.
        assert_eq!(gap.tags(), ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0"]);
        assert_eq!(gap.far("1.2").0, gap.image);
    }
}
