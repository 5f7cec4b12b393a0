//! An upload after a power failure: it keeps its length but not all of its bytes, as on ext4.

use std::fs;
use std::os::unix::fs::FileExt;

use sampan_engine::Error;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::{begin, body, content, over_directory, uploads};

#[tokio::test]
async fn bytes_lost_in_a_power_failure_are_not_published() {
    for size in [900_000, 1 << 20, 8 << 20] {
        let directory = tempfile::tempdir().unwrap();
        let (sent, last) = (content(size), content(1000));
        let registry = over_directory(directory.path()).await;
        let id = begin(&registry, &sent).await;
        drop(registry);

        let staged = Entry::UploadData("app".parse().unwrap(), id.clone()).path();
        let file = fs::File::options().write(true).open(directory.path().join(staged.as_key())).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(&[0; 65_536], size as u64 / 2).unwrap();
        file.set_modified(modified).unwrap();
        drop(file);

        for last in [&last[..0], &last] {
            let registry = over_directory(directory.path()).await;
            let digest = Digest::sha256_of(&[&sent[..], last].concat());
            let finished = uploads(&registry).finish(&id, None, body(last), &digest).await;
            assert!(
                matches!(finished, Err(Error::UploadUnknown(_))),
                "{size} bytes with a hole: {finished:?}"
            );
            assert!(
                registry.repository("app".parse().unwrap()).blobs().stat_and_lease(&digest).await.is_err()
            );
        }
    }
}

/// The bytes are read once more, since the process that knew their hash is gone.
#[tokio::test]
async fn an_upload_continued_in_another_process_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let sent = content(3 << 20);
    let id = begin(&over_directory(directory.path()).await, &sent).await;
    let registry = over_directory(directory.path()).await;
    let digest = Digest::sha256_of(&sent);
    uploads(&registry).finish(&id, None, body(b""), &digest).await.unwrap();
    assert_eq!(
        registry.repository("app".parse().unwrap()).blobs().stat_and_lease(&digest).await.unwrap().size_bytes,
        3 << 20
    );
    let repository = directory.path().join("docker/registry/v2/repositories/app/_uploads");
    assert_eq!(fs::read_dir(repository).map_or(0, Iterator::count), 0, "nothing is left of the upload");
}
