//! Files that were made to do harm, or were damaged on the way.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::io::Read;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sampan_engine::oci::Digest;
use sampan_foreign::{Error, ForeignOptions, Input, open};
use tar::EntryType;

use self::support::{Archive, Files, REF, foreign, foreign_tar, gzip, path, stream, zstd};

fn layout() -> (Files, Digest) {
    let mut files = Files::default();
    let image = files.image(&["layer"]);
    files.list(&[(&image, &[(REF, "team/app:1")])]);
    (files, image)
}

/// The layout, with an entry before the others.
fn with(kind: EntryType, name: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.entry(kind, name, target, content);
    for (name, content) in &layout().0.0 {
        archive.file(name, content);
    }
    archive.end()
}

#[tokio::test]
async fn entries_that_no_archive_of_images_has_are_refused() {
    let (files, image) = layout();
    let blob = path(&image);
    for (kind, name, target, problem) in [
        (EntryType::Regular, "../index.json", "", "leads out of the archive"),
        (EntryType::Regular, "blobs/sha256/../../../etc/cron.d/x", "", "leads out of the archive"),
        (EntryType::Regular, "/etc/passwd", "", "is absolute"),
        (EntryType::Symlink, &blob, "/etc/passwd", "links are not followed"),
        (EntryType::Link, "index.json", "/etc/passwd", "links are not followed"),
        (EntryType::Symlink, "anything", "index.json", "links are not followed"),
        (EntryType::Char, "dev", "", "neither a file nor a directory"),
        (EntryType::Block, "dev", "", "neither a file nor a directory"),
        (EntryType::Fifo, &blob, "", "neither a file nor a directory"),
        (EntryType::GNUSparse, &blob, "", "sparse"),
        (EntryType::Regular, "index.json", "", "it is there twice"),
        (EntryType::Regular, &blob, "", "it is there twice"),
        (EntryType::Regular, &format!("./{blob}"), "", "it is there twice"),
    ] {
        let tar = with(kind, name, target, b"");
        let in_place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(in_place.path(), &tar).unwrap();
        for input in [stream(tar.clone()), Input::Paths(vec![in_place.path().to_owned()])] {
            let error = foreign(input, ForeignOptions::default()).await.unwrap_err();
            assert!(error.is_damage(), "{error}");
            let error = error.to_string();
            assert!(error.contains(problem) && error.starts_with("at byte "), "{name}: {error}");
        }
    }
    foreign_tar(with(EntryType::Directory, "blobs/", "", b"")).await.unwrap();
    assert!(files.0.contains_key(&blob));
}

#[tokio::test]
async fn each_end_and_each_flipped_bit_of_a_manifest_is_found() {
    let (files, image) = layout();
    let tar = files.tar();
    for end in (1..tar.len() - 1024).step_by(100) {
        assert!(foreign_tar(&tar[..end]).await.unwrap_err().is_damage(), "{end} of {} bytes", tar.len());
    }
    for compressed in [gzip(&tar), zstd(&tar)] {
        for end in [1, 5, 20, compressed.len() / 2, compressed.len() - 8, compressed.len() - 1] {
            assert!(foreign_tar(&compressed[..end]).await.is_err(), "{end} of {}", compressed.len());
        }
        // The checksum behind the content is compared: no digest protects the names in index.json.
        for last in [4, 5, 8] {
            let mut damaged = compressed.clone();
            let place = damaged.len() - last;
            damaged[place] ^= 1;
            let error = foreign_tar(damaged).await.unwrap_err();
            assert!(error.is_damage() && error.to_string().contains("data are damaged"), "{error}");
        }
    }
    let mut damaged = files.clone();
    damaged.0.get_mut(&path(&image)).unwrap()[10] ^= 1;
    let error = foreign_tar(damaged.tar()).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("its content hashes to"), "{error}");
    // Blobs are hashed by the target, and what was read by name as well.
    let mut damaged = files.clone();
    let layer = Digest::sha256_of(b"layer");
    damaged.add(path(&layer), "lAyer");
    let reader = foreign_tar(damaged.tar()).await.unwrap();
    let index = reader.plan().contents.iter().position(|it| it.digest == layer).unwrap();
    assert!(reader.read_whole(index, 100).await.unwrap_err().to_string().contains("hashes to"));
}

#[tokio::test]
async fn documents_that_are_not_what_they_should_be_are_refused() {
    let deep = "[".repeat(100_000);
    let long = "x".repeat((64 << 20) + 1);
    let digest = Digest::sha256_of(b"x");
    let no_digest = r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:../x","size":1}]}"#;
    let overflow = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"x","digest":"{digest}","size":99999999999999999999}}]}}"#
    );
    for (name, content, problem) in [
        ("index.json", "{", "not a JSON manifest"),
        ("index.json", "", "not a JSON manifest"),
        ("index.json", &deep, "not a JSON manifest"),
        ("index.json", &format!(r#"{{"schemaVersion":2,"manifests":[],"x":{deep}"#), "not a JSON manifest"),
        ("index.json", &long, "more than the limit"),
        ("index.json", r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#, "duplicate field"),
        ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#, "lists no image"),
        ("index.json", r#"{"schemaVersion":3,"manifests":[]}"#, "it must be 2"),
        ("index.json", no_digest, "invalid digest"),
        ("index.json", &overflow, "not a JSON manifest"),
        ("oci-layout", "{}", "missing field"),
        ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#, "version \"2.0.0\""),
    ] {
        let (mut files, _) = layout();
        files.add(name, content);
        let error = foreign_tar(files.tar()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(problem), "{problem}: {error:.300}");
        assert!(error.to_string().contains(name), "{error:.300}");
    }
}

#[tokio::test]
async fn sizes_and_names_that_contradict_each_other_are_refused() {
    let (mut files, image) = layout();
    let other = files.image(&["other"]);
    files.list(&[(&image, &[(REF, "a:1")]), (&other, &[(REF, "registry.example/a:1")])]);
    let error = foreign_tar(files.tar()).await.unwrap_err().to_string();
    assert!(error.contains("both have the name a:1"), "{error}");

    let (mut files, _) = layout();
    let layer = Digest::sha256_of(b"layer");
    files.add(path(&layer), "a longer layer");
    let error = foreign_tar(files.tar()).await.unwrap_err().to_string();
    assert!(error.contains("it has 14 bytes, and a manifest says 5"), "{error}");
}

#[tokio::test]
async fn long_names_of_entries_that_no_image_has_count() {
    let mut archive = Archive::default();
    // No part of a name that has a meaning: a build for development looks for that slowly.
    archive.entry(EntryType::Directory, &"x".repeat(60_000), "", b"");
    let member = gzip(&archive.0);
    let members = Repeated { place: 0, left: 20_000, member };
    let error = open(Input::Stream(Box::new(members)), ForeignOptions::default(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("belong to no image"), "{error}");
}

/// The same bytes a number of times.
struct Repeated {
    member: Vec<u8>,
    place: usize,
    left: usize,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let rest = &self.member[self.place..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.place += read;
        if self.place == self.member.len() {
            (self.place, self.left) = (0, self.left - 1);
        }
        Ok(read)
    }
}

/// A tar file of zeros without end behind one header.
struct Bomb {
    head: Vec<u8>,
    read: usize,
}

impl Read for Bomb {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let head = &self.head[self.read.min(self.head.len())..];
        let len = if head.is_empty() { buffer.len() } else { head.len().min(buffer.len()) };
        match head.is_empty() {
            true => buffer.fill(0),
            false => buffer[..len].copy_from_slice(&head[..len]),
        }
        self.read += len;
        Ok(len)
    }
}

#[tokio::test]
async fn a_bomb_is_refused_by_its_header() {
    let digest = Digest::sha256_of(b"x");
    for (name, problem) in [(&path(&digest)[..], "has room for"), ("rubbish", "belong to no image")] {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size(1 << 60);
        header.set_cksum();
        let head = header.as_bytes().to_vec();
        let error = open(Input::Stream(Box::new(Bomb { head, read: 0 })), ForeignOptions::default(), |_| {});
        let error = error.await.unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(error.is_damage(), name == "rubbish");
    }
}

#[tokio::test]
async fn bytes_behind_the_end_are_read_as_far_as_a_writer_pads() {
    let tar = layout().0.tar();
    for padding in [0, 512, 10 << 10, 1 << 20] {
        let padded = [&tar[..], &vec![0; padding]].concat();
        foreign_tar(gzip(&padded)).await.unwrap();
        foreign_tar(padded).await.unwrap();
    }
    let endless = zstd(&[&tar[..], &vec![0; (64 << 20) + 1]].concat());
    let error = foreign_tar(endless).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("behind the end"), "{error}");
}

#[tokio::test]
async fn a_directory_of_links_and_pipes_is_refused() {
    let (files, image) = layout();
    let secret = tempfile::NamedTempFile::new().unwrap();
    for name in [path(&image), "index.json".to_owned(), path(&Digest::sha256_of(b"layer"))] {
        let directory = files.directory();
        let link = directory.path().join(&name);
        std::fs::remove_file(&link).unwrap();
        symlink(secret.path(), &link).unwrap();
        let input = || Input::Paths(vec![directory.path().to_owned()]);
        let error = foreign(input(), ForeignOptions::default()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("links are not followed"), "{error}");
        std::fs::remove_file(&link).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &link,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let error = foreign(input(), ForeignOptions::default()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("it is not a file"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_shrinks_meanwhile_ends_its_stream() {
    let (files, _) = layout();
    let directory = files.directory();
    let input = Input::Paths(vec![directory.path().to_owned()]);
    let reader = foreign(input, ForeignOptions::default()).await.unwrap();
    let layer = Digest::sha256_of(b"layer");
    std::fs::write(directory.path().join(path(&layer)), "lay").unwrap();
    let index = reader.plan().contents.iter().position(|it| it.digest == layer).unwrap();
    let read: Result<Vec<_>, Error> = reader.content(index).await.unwrap().try_collect().await;
    assert!(read.unwrap_err().to_string().contains("it ends early"));
}

#[tokio::test]
async fn other_inputs_are_named_with_a_remedy() {
    for (input, problem) in [
        (&b""[..], "it is empty"),
        (b"rubbish", "neither an OCI image layout nor a docker archive"),
        (&[0; 2048], "neither an OCI image layout nor a docker archive"),
        (b"\xfd7zXZ\0rest", "xz -d"),
        (b"BZh91AY", "bzip2 -d"),
        (b"\x04\x22\x4d\x18rest", "lz4 -d"),
        (&gzip(&gzip(b"x")), "compressed twice"),
        (&Archive::default().end(), "neither an OCI image layout nor a docker archive"),
    ] {
        let error = foreign_tar(input).await.unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
    let mut files = Files::default();
    files.add("etc/passwd", "x");
    let error = foreign_tar(files.tar()).await.unwrap_err().to_string();
    assert!(error.contains("it has neither index.json nor manifest.json"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let input = Input::Paths(vec![empty.path().to_owned()]);
    let error = foreign(input, ForeignOptions::default()).await.unwrap_err().to_string();
    assert!(
        error.contains(&*empty.path().to_string_lossy()) && error.contains("neither index.json"),
        "{error}"
    );
    let absent = Input::Paths(vec![empty.path().join("absent")]);
    let error = foreign(absent, ForeignOptions::default()).await.unwrap_err();
    assert!(!error.is_damage() && error.to_string().contains("absent"), "{error}");
}

/// A comparison of each with all others would take minutes.
#[tokio::test]
async fn absent_configurations_are_counted_in_time_by_their_number() {
    const COUNT: usize = 200_000;
    let begun = Instant::now();
    let items: Vec<String> =
        (0..=COUNT).map(|item| format!(r#"{{"Config":"{:064x}.json"}}"#, item % COUNT)).collect();
    let mut files = Files::default();
    files.add("manifest.json", format!("[{}]", items.join(",")));
    match foreign_tar(files.tar()).await.unwrap_err() {
        Error::Missing { count, first } => {
            assert_eq!(count, COUNT);
            assert_eq!(first, [0, 1, 2].map(|item| format!("{item:064x}.json")));
        }
        error => panic!("{error}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

/// A parse for each image would take minutes.
#[tokio::test]
async fn a_configuration_of_many_images_is_read_once() {
    const COUNT: usize = 300;
    let begun = Instant::now();
    let config = format!(r#"{{"rootfs":{{}},"history":[{}0]}}"#, "0,".repeat(4 << 20));
    let name = format!("{}.json", Digest::sha256_of(config.as_bytes()).hex());
    let items: Vec<String> =
        (0..COUNT).map(|item| format!(r#"{{"Config":"{name}","RepoTags":["app:{item}"]}}"#)).collect();
    let mut files = Files::default();
    files.add(name, config);
    files.add("manifest.json", format!("[{}]", items.join(",")));
    let reader = foreign_tar(files.tar()).await.unwrap();
    let images: Vec<_> = reader.plan().images().collect();
    assert_eq!((images.len(), images[0].1.tags.len()), (1, COUNT));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
