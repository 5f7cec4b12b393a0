//! The data directory of a registry, packed by tar or by oc-mirror.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::io::Cursor;
use std::time::Instant;

use sampan_bundle::ContentKind;
use sampan_engine::oci::Digest;
use sampan_foreign::{Error, ForeignOptions, Input, Notice, UnreadablePolicy, open};
use tar::EntryType;

use self::support::{Archive, Files, check_contents, foreign, foreign_tar, gzip, names, path, stream};

const ROOT: &str = "docker/registry/v2";

/// The files of a registry's data directory.
#[derive(Default)]
struct Data {
    /// The content, as in an image layout.
    blobs: Files,
    links: Files,
}

impl Data {
    fn link(&mut self, name: &str, content: impl Into<Vec<u8>>) {
        self.links.add(format!("{ROOT}/repositories/{name}/link"), content);
    }

    fn revision(&mut self, repository: &str, digest: &Digest) {
        let place = format!("{repository}/_manifests/revisions/{}/{}", digest.algorithm(), digest.hex());
        self.link(&place, digest.to_string());
    }

    fn tag(&mut self, repository: &str, tag: &str, digest: &Digest) {
        self.revision(repository, digest);
        self.link(&format!("{repository}/_manifests/tags/{tag}/current"), digest.to_string());
        let index = format!("{repository}/_manifests/tags/{tag}/index/sha256/{}", digest.hex());
        self.link(&index, digest.to_string());
    }

    /// Every file with its name.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let blobs = self.blobs.0.iter().map(|(name, content)| {
            let hex = name.strip_prefix("blobs/sha256/").unwrap();
            (format!("{ROOT}/blobs/sha256/{}/{hex}/data", &hex[..2]), content.clone())
        });
        blobs.chain(self.links.0.clone()).collect()
    }

    fn tar(&self) -> Vec<u8> {
        pack("", &self.files())
    }
}

fn pack(prefix: &str, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Archive::default();
    for (name, content) in files {
        archive.file(&format!("{prefix}{name}"), content);
    }
    archive.end()
}

/// An index with two images and a referrer, and an image by its digest alone.
fn data() -> (Data, Digest, Digest, Digest) {
    let mut data = Data::default();
    let children = [data.blobs.image(&["shared", "amd64"]), data.blobs.image(&["shared", "arm64"])];
    let index = data.blobs.index(&children);
    let referrer = data.blobs.referrer(&index, "sbom");
    let alone = data.blobs.image(&["shared", "alone"]);
    children.iter().for_each(|child| data.revision("team/app", child));
    data.tag("team/app", "1.0", &index);
    data.revision("team/app", &referrer);
    data.revision("other", &alone);
    // Files that an import has no use for.
    let layer = Digest::sha256_of(b"shared");
    data.link(&format!("team/app/_layers/sha256/{}", layer.hex()), layer.to_string());
    data.links
        .add(format!("{ROOT}/repositories/team/app/_uploads/2b6e7d2c-3a3f-4f0e-9a62-6f6f6a0d7c11/data"), "x");
    (data, index, referrer, alone)
}

#[tokio::test]
async fn a_data_directory_has_its_tags_and_its_manifests_without_tags() {
    let (data, index, referrer, alone) = data();
    let expected =
        [format!("other {alone}"), format!("team/app {referrer}"), format!("team/app:1.0 {index}")];
    for tar in [data.tar(), pack("./", &data.files()), pack("var/lib/registry/", &data.files())] {
        for input in [stream(tar.clone()), stream(gzip(&tar))] {
            let reader = foreign(input, ForeignOptions::default()).await.unwrap();
            assert_eq!(names(&reader), expected);
            assert_eq!(check_contents(&reader).await, data.blobs.0.len());
            assert_eq!((reader.notices(), &reader.plan().presumed[..]), (&[][..], &[][..]));
        }
    }
}

#[tokio::test]
async fn archives_of_oc_mirror_are_read_together_and_one_after_the_other() {
    let (data, ..) = data();
    let mut files = data.files();
    files.push(("working-dir/info/list.json".to_owned(), b"{}".to_vec()));
    files.push(("imageset-config-2026-01-31T12:00:00Z".to_owned(), b"kind: x".to_vec()));
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (number, files) in files.chunks(5).enumerate() {
        paths.push(directory.path().join(format!("mirror_{:06}.tar", number + 1)));
        std::fs::write(&paths[number], pack("", files)).unwrap();
    }
    assert!(paths.len() > 2);
    let reader = foreign(Input::Paths(paths), ForeignOptions::default()).await.unwrap();
    assert_eq!(check_contents(&reader).await, data.blobs.0.len());
    assert_eq!(reader.notices(), [Notice::Ignored { count: 2 }]);

    // The next archive has all links, and no content of the first.
    let mut next = Data { links: data.links.clone(), ..Data::default() };
    let new = next.blobs.image(&["shared", "new"]);
    next.tag("team/app", "2.0", &new);
    let layer = Digest::sha256_of(b"shared");
    next.blobs.0.remove(&path(&layer)).unwrap();
    let reader = foreign_tar(next.tar()).await.unwrap();
    assert_eq!(names(&reader), [format!("team/app:2.0 {new}")]);
    let [presumed] = &reader.plan().presumed[..] else { panic!("{:?}", reader.plan().presumed) };
    assert_eq!((&presumed.digest, presumed.size_bytes, presumed.kind), (&layer, 6, ContentKind::Blob));
    let first = vec!["team/app:1.0".to_owned()];
    assert_eq!(reader.notices(), [Notice::Absent { count: 1, first }]);
}

#[tokio::test]
async fn a_digest_of_another_algorithm_keeps_its_name() {
    let mut data = Data::default();
    let image = data.blobs.image(&["layer"]);
    let bytes = data.blobs.0[&path(&image)].clone();
    let long = Digest::of(sampan_engine::oci::Algorithm::Sha512, &bytes);
    data.tag("team/app", "1.0", &image);
    data.link(&format!("team/app/_manifests/revisions/sha512/{}", long.hex()), image.to_string());
    data.links.add(format!("{ROOT}/repositories/team/app/_sampan/digests/1.0"), long.to_string());
    let reader = foreign_tar(data.tar()).await.unwrap();
    assert_eq!(names(&reader), [format!("team/app:1.0 {long}")]);
    // After the tag moved without us, its link counts.
    let moved = data.blobs.image(&["moved"]);
    data.tag("team/app", "1.0", &moved);
    let reader = foreign_tar(data.tar()).await.unwrap();
    assert_eq!(names(&reader), [format!("team/app {long}"), format!("team/app:1.0 {moved}")]);
}

#[tokio::test]
async fn images_that_cannot_be_read_are_passed_over_if_asked_for() {
    let (whole, index, ..) = data();
    let mut data = data().0;
    let schema1 = br#"{"schemaVersion":1,"name":"team/app","tag":"old","fsLayers":[],"history":[]}"#;
    let old = Digest::sha256_of(schema1);
    data.blobs.add(path(&old), schema1.to_vec());
    data.tag("team/app", "old", &old);
    let tag = |name: &str| format!("team/app/_manifests/tags/{name}/current");
    data.link(&tag("empty"), "");
    data.link(&tag("rubbish"), "rubbish");
    // An index is left out with its children, but for what other images have too.
    let child = data.blobs.image(&["shared", "only here"]);
    let broken = data.blobs.index(&[child.clone(), old.clone()]);
    data.tag("other", "broken", &broken);

    let options = ForeignOptions { unreadable: UnreadablePolicy::PassOver, ..ForeignOptions::default() };
    let reader = foreign(stream(data.tar()), options).await.unwrap();
    let mut left_out: Vec<String> = reader.unreadable().iter().map(ToString::to_string).collect();
    left_out.sort();
    assert_eq!(left_out, ["other:broken", "team/app:empty", "team/app:old", "team/app:rubbish"]);
    assert!(reader.unreadable().iter().all(|image| !image.problem.contains("--keep-going")));
    let intact = foreign_tar(whole.tar()).await.unwrap();
    assert_eq!(names(&reader), names(&intact));
    assert!(names(&reader).contains(&format!("team/app:1.0 {index}")));
    assert_eq!(check_contents(&reader).await, check_contents(&intact).await);

    let error = foreign_tar(data.tar()).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("with --keep-going"), "{error}");
}

#[tokio::test]
async fn hostile_data_directories_are_refused_with_the_entry() {
    let tag = format!("{ROOT}/repositories/team/app/_manifests/tags/1.0/current/link");
    for (kind, name, content, problem) in [
        (EntryType::Regular, tag.clone(), "no digest", "it has no digest, as a link must"),
        (EntryType::Regular, tag.clone(), "", "it has no digest, as a link must"),
        (EntryType::Regular, tag.clone(), "\u{1b}[2J", "it has no digest, as a link must"),
        (EntryType::Symlink, tag.clone(), "", "links are not followed"),
        (EntryType::Link, tag.clone(), "", "links are not followed"),
        (EntryType::Regular, format!("{ROOT}/../../../etc/passwd"), "x", "leads out of the archive"),
        (EntryType::Regular, format!("/{tag}"), "x", "is absolute"),
    ] {
        let (mut data, ..) = data();
        data.links.0.remove(&tag);
        let mut archive = Archive::default();
        archive.entry(kind, &name, "", content.as_bytes());
        archive.0.extend(data.tar());
        let error = foreign_tar(archive.0).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(problem), "{name}: {error}");
    }
    let (mut data, ..) = data();
    data.links.add(tag.clone(), "x".repeat(1 << 20));
    let error = foreign_tar(data.tar()).await.unwrap_err().to_string();
    assert!(error.contains(&tag) && error.contains("more than the limit"), "{error}");
    // Content under a digest that is not its own, and a link to something that is no manifest.
    let (mut data, index, ..) = self::data();
    data.blobs.add(path(&index), "{}");
    assert!(foreign_tar(data.tar()).await.unwrap_err().is_damage());
    let (mut data, ..) = self::data();
    data.tag("team/app", "2.0", &Digest::sha256_of(b"shared"));
    let error = foreign_tar(data.tar()).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("as a manifest"), "{error}");
    // Names outside the grammar have no meaning.
    let (mut data, ..) = self::data();
    data.link("Team/../App/_manifests/tags/1.0/current", "x");
    assert!(foreign_tar(data.tar()).await.unwrap_err().is_damage());
    let (mut data, ..) = self::data();
    data.link("Team/App/_manifests/tags/1.0/current", "x");
    assert_eq!(foreign_tar(data.tar()).await.unwrap().notices(), [Notice::Ignored { count: 1 }]);
}

/// A parse for each repository would take 300 times as long as one.
#[tokio::test]
async fn a_manifest_of_many_repositories_is_read_once() {
    let mut data = Data::default();
    let empty = data.blobs.blob("{}");
    let digest = data.blobs.blob(format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":
        "application/vnd.oci.empty.v1+json","digest":"{empty}","size":2}},"layers":[],"of":[{}0]}}"#,
        "0,".repeat(4 << 20)
    ));
    let mut times = Vec::new();
    for numbers in [0..1, 1..300] {
        let count = numbers.end;
        numbers.for_each(|number| data.revision(&format!("r{number}"), &digest));
        let tar = data.tar();
        let begun = Instant::now();
        let reader = foreign_tar(tar).await.unwrap();
        times.push(begun.elapsed());
        assert_eq!(reader.plan().images().count(), count);
    }
    assert!(times[1] < 20 * times[0], "{times:?}");
}

#[tokio::test]
async fn an_unpacked_data_directory_is_named_with_the_command_for_it() {
    let (data, ..) = data();
    let directory = tempfile::tempdir().unwrap();
    tar::Archive::new(Cursor::new(data.tar())).unpack(directory.path()).unwrap();
    for below in ["", "docker", "docker/registry"] {
        let path = directory.path().join(below);
        let error = open(Input::Paths(vec![path]), ForeignOptions::default(), |_| {}).await.unwrap_err();
        assert!(matches!(error, Error::DataDirectory(_)) && !error.is_damage(), "{error}");
        assert!(error.to_string().contains("registry copy '**' --from near.yml"), "{error}");
        let root = format!("rootdirectory: {}}}", directory.path().display());
        assert!(error.to_string().contains(&root), "{error}");
    }
}

#[tokio::test]
async fn an_absent_image_of_an_index_is_presumed_if_it_has_a_link_and_else_named() {
    let presumed = |reader: &sampan_foreign::ForeignReader| {
        let presumed = reader.plan().presumed.iter();
        presumed.map(|it| (it.digest.clone(), it.kind, it.repositories.clone())).collect::<Vec<_>>()
    };
    for has_platforms in [true, false] {
        let mut data = Data::default();
        let children = [data.blobs.image(&["shared", "amd64"]), data.blobs.image(&["shared", "arm64"])];
        let index = match has_platforms {
            true => data.blobs.index(&children),
            false => data.blobs.index_without_platforms(&children),
        };
        data.tag("team/app", "1.0", &index);
        data.revision("team/app", &children[0]);
        // The other one was never mirrored.
        data.blobs.0.remove(&path(&children[1]));
        let reader = foreign_tar(data.tar()).await.unwrap();
        assert_eq!(presumed(&reader), []);
        let absent = if has_platforms { "linux/arm64".to_owned() } else { children[1].to_string() };
        let partial = Notice::Partial { image: "team/app:1.0".to_owned(), absent };
        assert!(reader.notices().contains(&partial), "{:?}", reader.notices());
        // An earlier archive had the first one.
        data.blobs.0.remove(&path(&children[0]));
        let reader = foreign_tar(data.tar()).await.unwrap();
        let repository = vec!["team/app".parse().unwrap()];
        assert_eq!(presumed(&reader), [(children[0].clone(), ContentKind::Manifest, repository)]);
        assert_eq!(reader.plan().repositories[0].images[0].left_out.len(), 1);
        // No archive had any.
        let mut none = Data { blobs: data.blobs.clone(), ..Data::default() };
        none.tag("team/app", "1.0", &index);
        let error = foreign_tar(none.tar()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("none of its images"), "{error}");
    }
}
