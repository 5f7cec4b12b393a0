//! A store is moved from a directory to a bucket and back, and Debian's `docker-registry` serves the result.

use std::path::Path;
use std::process::Command;

use sampan_engine::oci::media_type::OCI_MANIFEST;

use super::support::{StoreServer, debian_registry, filesystem_config, registry, run, write_config};
use crate::support::StoreFiles;

#[test]
#[ignore = "needs ceph and docker-registry, as root"]
fn a_directory_becomes_a_bucket_and_a_directory_again() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    let store = StoreFiles::new(&old);
    for (repository, tag) in [("team/app", "v1"), ("team/app", "v2"), ("other", "v1")] {
        let layers = ["shared".repeat(100), format!("{repository}{tag}").repeat(2 << 20)];
        store.tag(repository, tag, &store.image(repository, tag, &layers));
    }
    let ceph = StoreServer::ceph();
    let (read_only, writable) = ("\n  maintenance: {readonly: {enabled: true}}", "");
    let directory_config = |root: &Path, more: &str| {
        format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}{more}\n", root.display())
    };
    let bucket = ceph.config("/moved", |_| {});
    let at_rest = bucket.replace("  delete:", &format!("{}\n  delete:", &read_only[1..]));
    let write = |name: &str, config: &str| write_config(directory.path(), name, config);
    let migrate = |from: &Path, to: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
        let said = run(command.arg("migrate").arg("--finish").arg("--from").arg(from).arg("--to").arg(to));
        assert!(said.contains("tags\t3\t3") && said.contains("the stores are equal"), "{said}");
    };
    let to_bucket = write("bucket.yml", &bucket);
    migrate(&write("old.yml", &directory_config(&old, read_only)), &to_bucket);
    let over_bucket = registry(directory.path(), &bucket);
    let answer =
        over_bucket.wire().send("GET", "/v2/team/app/manifests/v2", &[("Accept", OCI_MANIFEST)], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(over_bucket);
    let from_bucket = write("bucket-read-only.yml", &at_rest);
    migrate(&from_bucket, &write("new.yml", &directory_config(&new, writable)));

    let ours = registry(directory.path(), &filesystem_config(&new));
    let theirs = debian_registry(directory.path(), &new);
    for path in ["/v2/team/app/manifests/v1", "/v2/team/app/manifests/v2", "/v2/other/manifests/v1"] {
        let pulled = [ours.wire(), theirs.wire()]
            .map(|mut wire| wire.send("GET", path, &[("Accept", OCI_MANIFEST)], b""));
        assert!(pulled.iter().all(|answer| answer.status == 200), "{path}: {pulled:?}");
        assert_eq!(pulled[0].body, pulled[1].body, "{path}");
    }
}
