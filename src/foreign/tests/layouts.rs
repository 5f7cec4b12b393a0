//! OCI image layouts of each tool and in each form.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use sampan_bundle::{
    BoxError, Bundle, ContentKind, ContentSource, ContentStream, Plan, PlannedContent, index_json,
};
use sampan_engine::oci::Digest;
use sampan_foreign::{Error, ForeignOptions, HostPolicy, Input, Notice, OpenedFile, open};

use self::support::{
    Archive, Files, NAME, REF, check_contents, foreign, foreign_tar, gzip, names, path, rules, stream, zstd,
};

/// A layout as docker and containerd write it: an index with two images, and an image.
fn layout() -> (Files, Digest, Digest) {
    let mut files = Files::default();
    let one = files.image(&["shared", "one"]);
    let children = [files.image(&["shared", "amd64"]), files.image(&["shared", "arm64"])];
    let index = files.index(&children);
    files.list(&[
        (&index, &[(NAME, "docker.io/library/multi:latest"), (REF, "latest")]),
        (&one, &[(NAME, "registry.example:5000/team/app:1.0"), (REF, "1.0")]),
        (&one, &[(NAME, "registry.example:5000/team/app:1"), (REF, "1")]),
    ]);
    (files, one, index)
}

#[tokio::test]
async fn a_layout_is_the_same_in_each_form() {
    let (files, one, index) = layout();
    let expected =
        [format!("library/multi:latest {index}"), format!("team/app:1 {one}"), format!("team/app:1.0 {one}")];
    let tar = files.tar();
    let mut packed_by_tar = Archive::default();
    packed_by_tar.entry(tar::EntryType::Directory, "./", "", b"");
    for (name, content) in files.0.iter().rev() {
        packed_by_tar.file(&format!("./{name}"), content);
    }
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        std::fs::write(directory.path().join(name), content).unwrap();
        Input::Paths(vec![directory.path().join(name)])
    };
    for (number, part) in tar.chunks(3000).enumerate() {
        write(&format!("split.tar.{:03}", number + 1), part);
    }
    let unpacked = files.directory();
    for input in [
        write("a.tar", &tar),
        write("a.tar.gz", &gzip(&tar)),
        write("a.tar.zst", &zstd(&tar)),
        write("b.tar", &packed_by_tar.end()),
        Input::Paths(vec![directory.path().join("split.tar")]),
        Input::Paths(vec![unpacked.path().to_owned()]),
        stream(tar.clone()),
        stream(gzip(&tar)),
        stream([zstd(&tar[..1000]), zstd(&tar[1000..])].concat()),
    ] {
        let reader = foreign(input, ForeignOptions::default()).await.unwrap();
        assert_eq!(names(&reader), expected);
        assert_eq!(reader.notices(), []);
        // Four manifests, three configurations and four layers.
        assert_eq!(check_contents(&reader).await, 11);
        let is_manifest = |it: &&PlannedContent| it.kind == ContentKind::Manifest;
        assert_eq!(reader.plan().contents.iter().filter(is_manifest).count(), 4);
    }
}

#[tokio::test]
async fn the_host_becomes_a_component_if_it_is_kept() {
    let (files, one, index) = layout();
    let options = ForeignOptions { hosts: HostPolicy::Keep, ..ForeignOptions::default() };
    let reader = foreign(stream(files.tar()), options).await.unwrap();
    let expected = [
        format!("docker.io/library/multi:latest {index}"),
        format!("registry.example/team/app:1 {one}"),
        format!("registry.example/team/app:1.0 {one}"),
    ];
    assert_eq!(names(&reader), expected);
}

/// Unlike `a_layout_is_the_same_in_each_form`, the names have no repository: regctl, oras, skopeo.
#[tokio::test]
async fn images_without_a_repository_get_one_by_a_rule() {
    let mut files = Files::default();
    let (one, two, three) = (files.image(&["1"]), files.image(&["2"]), files.image(&["3"]));
    files.list(&[(&one, &[(REF, "v1")]), (&two, &[(REF, "v2")]), (&three, &[])]);
    let tar = files.tar();
    let Err(Error::Unnamed(unnamed)) = foreign_tar(tar.clone()).await else { panic!("they have no name") };
    assert_eq!(unnamed.len(), 3);
    let error = foreign(stream(tar.clone()), rules(&[":=a"])).await.unwrap_err().to_string();
    assert!(error.contains(&format!("one image: pass `--map @{three}=REPOSITORY:TAG`")), "{error}");
    let error = foreign_tar(tar.clone()).await.unwrap_err().to_string();
    assert!(error.contains("`--map :v1=REPOSITORY:v1`, `--map :v2=REPOSITORY:v2`"), "{error}");
    let by_digest = format!("@{three}=other:3");
    for (given, expected) in [
        (vec![":v1=a:9", ":v2=b", &by_digest], [format!("a:9 {one}"), format!("b:v2 {two}")]),
        (vec![":=team/app", &by_digest], [format!("team/app:v1 {one}"), format!("team/app:v2 {two}")]),
        (vec![":v1=z:1", ":=a", &by_digest], [format!("a:v2 {two}"), format!("z:1 {one}")]),
    ] {
        let reader = foreign(stream(tar.clone()), rules(&given)).await.unwrap();
        let mut expected = [&expected[..], &[format!("other:3 {three}")]].concat();
        expected.sort();
        assert_eq!(names(&reader), expected);
    }
    let error = foreign(stream(tar), rules(&[":v9=a"])).await.unwrap_err();
    assert!(!error.is_damage() && error.to_string().contains("`--map :v9=a`"), "{error}");
}

/// docker and containerd write an index whole, and the platforms that they have.
#[tokio::test]
async fn platforms_that_are_not_there_are_left_out() {
    let (mut files, children) = (Files::default(), ["a", "b", "c"]);
    let children = children.map(|layer| files.image(&[layer]));
    let index = files.index(&children);
    files.list(&[(&index, &[(NAME, "docker.io/library/app:1")])]);
    files.0.remove(&path(&children[1]));
    files.0.remove(&path(&children[2]));
    let reader = foreign_tar(files.tar()).await.unwrap();
    let absent = "linux/arm64, linux/s390x".to_owned();
    assert_eq!(reader.notices()[0], Notice::Partial { image: "library/app:1".to_owned(), absent });
    let left_out = &reader.plan().repositories[0].images[0].left_out;
    assert_eq!(left_out.iter().map(|it| &it.digest).collect::<Vec<_>>(), [&children[1], &children[2]]);

    files.0.remove(&path(&children[0]));
    let error = foreign_tar(files.tar()).await.unwrap_err().to_string();
    assert!(error.contains("3 blobs that its images need are missing"), "{error}");
}

#[tokio::test]
async fn referrers_follow_their_images() {
    let mut files = Files::default();
    let image = files.image(&["layer"]);
    let sbom = files.referrer(&image, "sbom");
    let signature = files.referrer(&sbom, "signature of the sbom");
    let child = files.image(&["child"]);
    let index = files.index(std::slice::from_ref(&child));
    let other = files.image(&["other"]);
    let orphan = files.referrer(&other, "sbom of another image");
    files.0.remove(&path(&other));
    // oras lists every manifest, also children.
    files.list(&[
        (&signature, &[]),
        (&sbom, &[("io.containerd.manifest.subject", "x")]),
        (&child, &[]),
        (&orphan, &[]),
        (&image, &[(REF, "a:1")]),
        (&index, &[(REF, "b:1")]),
    ]);
    let reader = foreign_tar(files.tar()).await.unwrap();
    assert_eq!(names(&reader), [format!("a:1 {image}"), format!("b:1 {index}")]);
    let referrers = &reader.plan().repositories[0].images[0].referrers;
    let found: Vec<_> = referrers.iter().map(|it| (&it.digest, &it.subject)).collect();
    assert_eq!(found, [(&sbom, &image), (&signature, &sbom)]);
    assert_eq!(referrers[0].artifact_type, "application/vnd.example.sbom");
    // The orphan, its content, and the layer and configuration of the other image.
    assert_eq!(reader.notices(), [Notice::Orphans { count: 1 }, Notice::Ignored { count: 4 }]);
    check_contents(&reader).await;
}

/// hauler: signatures with the name of their image, and the whole list beside one with the images alone.
#[tokio::test]
async fn a_haul_has_its_signatures_and_its_own_list() {
    let mut files = Files::default();
    let (image, signature) = (files.image(&["layer"]), files.image(&["signature"]));
    let (referrer, chart) = (files.referrer(&image, "bundle"), files.image(&["chart"]));
    let name = "registry.example/team/app:1";
    files.list(&[(&image, &[(NAME, name), (REF, "team/app:1"), ("kind", "dev.hauler/image")])]);
    files.list_in(
        "hauler-index.json",
        &[
            (&image, &[(NAME, name), (REF, "team/app:1"), ("kind", "dev.hauler/image")]),
            (&signature, &[(NAME, name), (REF, "team/app:1"), ("kind", "dev.hauler/sigs")]),
            (&referrer, &[(NAME, name), (REF, "team/app:1"), ("kind", "dev.hauler/referrers/abc")]),
            (&chart, &[(REF, "hauler/chart:2.0"), ("kind", "dev.hauler/image")]),
        ],
    );
    let reader = foreign_tar(zstd(&files.tar())).await.unwrap();
    let signature = format!("team/app:sha256-{}.sig {signature}", image.hex());
    assert_eq!(
        names(&reader),
        [format!("hauler/chart:2.0 {chart}"), format!("team/app:1 {image}"), signature]
    );
    assert_eq!(reader.plan().repositories[0].images[0].referrers[0].digest, referrer);
}

#[tokio::test]
async fn what_is_missing_is_counted_and_the_first_are_named() {
    let (mut files, one, _) = layout();
    let gone = Digest::sha256_of(b"one");
    files.0.remove(&path(&gone));
    let error = foreign_tar(files.tar()).await.unwrap_err();
    assert!(error.is_damage());
    let expected = format!("one blob that its images need is missing from the file: {gone}");
    assert_eq!(error.to_string(), expected);
    files.0.retain(|name, _| !name.starts_with("blobs/"));
    let error = foreign_tar(files.tar()).await.unwrap_err().to_string();
    assert!(error.contains("2 blobs") && error.contains(&one.to_string()), "{error}");
}

#[tokio::test]
async fn files_that_no_image_needs_are_counted_once() {
    let (mut files, ..) = layout();
    files.add("README", "hello");
    files.add("ingest/something", "x");
    files.blob("rubbish");
    let reader = foreign_tar(files.tar()).await.unwrap();
    assert_eq!(reader.notices(), [Notice::Ignored { count: 3 }]);
}

#[derive(Clone)]
struct Empty;

impl ContentSource for Empty {
    async fn open(&self, _: &PlannedContent) -> Result<ContentStream, BoxError> {
        Err("there is no content".into())
    }
}

#[tokio::test]
async fn a_bundle_of_ours_is_recognised_also_when_it_is_compressed() {
    let plan = Plan::default();
    let index = index_json(&plan);
    let bundle = Bundle::assemble(plan, index, None, None).unwrap();
    let mut bytes = Vec::new();
    bundle.write(0..bundle.layout().len_bytes(), &Empty, &mut bytes).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("b.tar");
    std::fs::write(&file, &bytes).unwrap();
    for input in [Input::Paths(vec![file]), stream(bytes.clone()), stream(gzip(&bytes)), stream(zstd(&bytes))]
    {
        match open(input, ForeignOptions::default(), |_| {}).await.unwrap() {
            OpenedFile::Bundle(reader) => {
                assert_eq!(reader.bundle().name(), bundle.name());
                reader.finish().await.unwrap();
            }
            OpenedFile::Foreign(_) => panic!("it is a bundle"),
        }
    }
    // Damage of the compression is damage of the bundle.
    for (mut damaged, name) in [(gzip(&bytes), "gzip"), (zstd(&bytes), "zstd")] {
        // A bit of the checksum behind the content; gzip has its length there as well.
        let place = damaged.len() - if name == "gzip" { 8 } else { 1 };
        damaged[place] ^= 1;
        for damaged in [&damaged[..], &damaged[..place]] {
            let error = match open(stream(damaged), ForeignOptions::default(), |_| {}).await {
                Ok(OpenedFile::Bundle(reader)) => reader.finish().await.unwrap_err().into(),
                Ok(OpenedFile::Foreign(_)) => panic!("it is a bundle"),
                Err(error) => error,
            };
            let cause = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
            assert!(error.is_damage(), "{name}: {error}: {cause}");
            assert!(format!("{error}: {cause}").contains("data are damaged"), "{name}: {error}: {cause}");
        }
    }
    // A bundle that lost its beginning is not taken for a layout, which nothing signs.
    let mut damaged = bytes.clone();
    damaged[1024] ^= 1;
    let error = open(stream(damaged), ForeignOptions::default(), |_| {}).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("checksum of a header"), "{error}");
    let mut repacked = Files::default();
    repacked.add("bundle.json", &bundle.head().plan[..]);
    repacked.add("index.json", "{}");
    let error = foreign_tar(repacked.tar()).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("plan of a bundle"), "{error}");
}
