//! Symbolic links below the root.

use std::fs;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{ByteRange, DirEntry, ErrorKind, PutMode, StorageDriver};

use super::{create, open, path, store, text_of};

#[tokio::test]
async fn no_operation_follows_a_link_out_of_the_root() {
    let outer = tempfile::tempdir().unwrap();
    let (root, outside) = (outer.path().join("root"), outer.path().join("outside"));
    fs::create_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink("../../outside", root.join("a/out")).unwrap();
    symlink("../../outside/secret", root.join("a/secret")).unwrap();
    let driver = open(&root).await;
    let through = path("/a/out/secret");
    let direct = path("/a/secret");

    let mut errors = Vec::new();
    for escape in [&through, &direct] {
        errors.push(driver.get_content(escape).await.map(drop).unwrap_err());
        errors.push(driver.stat(escape).await.map(drop).unwrap_err());
        errors.push(driver.reader(escape, ByteRange::ALL).await.map(drop).unwrap_err());
    }
    let new = path("/a/out/new");
    errors.push(driver.put_content(&new, Bytes::new(), PutMode::Overwrite).await.unwrap_err());
    errors.push(driver.writer(&new, create()).await.map(drop).unwrap_err());
    errors.push(driver.delete(&through).await.unwrap_err());
    errors.push(driver.delete_tree(&through).await.unwrap_err());
    errors.push(driver.rename(&through, &path("/stolen")).await.unwrap_err());
    driver.put_content(&path("/mine"), Bytes::new(), PutMode::Create).await.unwrap();
    errors.push(driver.rename(&path("/mine"), &new).await.unwrap_err());
    // If enumerations skipped the link, its content would look like garbage, so they must report it too.
    let (walked, unseen) = walk(&*driver).await;
    assert_eq!((walked, unseen), (strings(&["/mine"]), strings(&["/a/out", "/a/secret"])));
    errors.push(driver.list(&path("/a"), None).try_collect::<Vec<_>>().await.map(drop).unwrap_err());
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        assert!(text_of(&error).contains("symbolic link"), "{}", text_of(&error));
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);

    driver.delete(&direct).await.unwrap();
    driver.delete_tree(&path("/a")).await.unwrap();
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn links_inside_the_root_work_for_walks_too_and_a_loop_is_an_error() {
    let (dir, driver) = store().await;
    fs::create_dir_all(dir.path().join("real/sub")).unwrap();
    fs::write(dir.path().join("real/sub/file"), "x").unwrap();
    symlink("real", dir.path().join("alias")).unwrap();
    assert_eq!(driver.get_content(&path("/alias/sub/file")).await.unwrap(), "x");
    let walked: Vec<_> =
        driver.walk(&path("/"), None).map_ok(|info| info.path.to_string()).try_collect().await.unwrap();
    assert_eq!(walked, ["/alias/sub/file", "/real/sub/file"]);

    symlink("../..", dir.path().join("real/sub/circle")).unwrap();
    let (walked, unseen) = walk(&*driver).await;
    assert_eq!(walked, ["/alias/sub/file", "/real/sub/file"]);
    assert_eq!(unseen, ["/alias/sub/circle", "/real/sub/circle"]);
}

/// Such as a link to an unmounted disk. Its content is not gone.
#[tokio::test]
async fn a_walk_reports_a_dangling_link_and_continues_after_it() {
    let (dir, driver) = store().await;
    fs::create_dir_all(dir.path().join("b/c")).unwrap();
    for file in ["a", "b/c/file", "z"] {
        fs::write(dir.path().join(file), "x").unwrap();
    }
    symlink("../disk2/team", dir.path().join("b/team")).unwrap();
    symlink("itself", dir.path().join("itself")).unwrap();
    let (walked, unseen) = walk(&*driver).await;
    assert_eq!(walked, ["/a", "/b/c/file", "/z"]);
    assert_eq!(unseen, ["/b/team", "/itself"]);
    // A walk that starts at or below it is not empty either.
    for start in ["/b/team", "/b/team/app"] {
        let error = driver.walk(&path(start), None).try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Unseen, &path(start)));
        assert!(text_of(&error).contains("mount its target"), "{}", text_of(&error));
    }
    assert_eq!(driver.walk(&path("/b/none"), None).count().await, 0);
    // Clients see directories, and this is not one.
    let listed: Vec<_> = driver.list(&path("/b"), None).try_collect().await.unwrap();
    assert_eq!(listed, [DirEntry::Directory("c".to_owned()), DirEntry::File("team".to_owned())]);
    assert!(driver.stat(&path("/b/team")).await.unwrap_err().is_not_found());
}

/// The files that a walk finds, and the places that it reports as unreadable.
async fn walk(driver: &dyn StorageDriver) -> (Vec<String>, Vec<String>) {
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    let mut walk = driver.walk(&path("/"), None);
    while let Some(next) = walk.next().await {
        match next {
            Ok(info) => found.push(info.path.to_string()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unseen, "{error:?}");
                assert!(text_of(&error).contains("symbolic link"), "{}", text_of(&error));
                unseen.push(error.path().to_string());
            }
        }
    }
    unseen.sort();
    (found, unseen)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
