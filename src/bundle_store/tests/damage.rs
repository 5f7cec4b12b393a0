//! Damaged and hostile bundles: nothing wrong is served as if it were right.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::ops::Range;

use futures::TryStreamExt;
use futures::future::join_all;
use sampan_bundle::{
    Bundle, ContentKind, Layout, LeadingFiles, MAX_MANIFEST_BYTES, Plan, PlannedContent, PlannedImage,
    PlannedReferrer, PlannedRepository, index_json,
};
use sampan_driver::{ByteRange, DriverPath, ErrorKind, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use support::transfer::{Store, runtime, sample};
use support::{Files, blob, bundle_of, chain, large_image, over, streamed, windowed};

/// Several windows and a rest.
const LARGE: usize = (3 << 20) + 12_345;

fn ranges() -> Vec<Range<u64>> {
    let (large, window) = (LARGE as u64, 1 << 20);
    vec![
        0..large,
        0..1,
        5..window,
        window..2 * window,
        window - 1..2 * window + 1,
        large - 1..large,
        large..large,
        77..large - 77,
    ]
}

#[test]
fn every_range_has_its_bytes_whether_the_content_was_verified_or_not() {
    runtime().block_on(async {
        let (near, files) = (Store::new(), Files::new());
        let (digest, content) = large_image(&near, LARGE).await;
        let bundle = bundle_of(&near).await;
        files.write("b.tar", &bundle);
        files.split("parts.tar", &bundle, 1 << 20);
        for (range, name) in
            ranges().into_iter().flat_map(|range| [(range.clone(), "b.tar"), (range, "parts.tar")])
        {
            let served = files.open(&[name]).await.unwrap();
            let expected = &content[range.start as usize..range.end as usize];
            let asked = ByteRange::new(range.start, range.end - range.start);
            for verified in ["not yet", "is"] {
                let path = blob(&digest);
                let reader = || served.reader(&path, asked);
                let first = reader().await.unwrap();
                assert_eq!((first.size_bytes(), first.range()), (LARGE as u64, range.clone()));
                assert!(
                    streamed(first).await.unwrap() == expected,
                    "{range:?} of {name}, {verified} verified"
                );
                // A range over several parts has no windows.
                if name == "b.tar" {
                    let again = windowed(reader().await.unwrap()).await.unwrap();
                    assert!(again == expected, "{range:?} by windows, {verified} verified");
                }
            }
        }
        let served = files.open(&["b.tar"]).await.unwrap();
        let beyond = served.reader(&blob(&digest), ByteRange::from(LARGE as u64 + 1)).await.unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::RangeInvalid);
    });
}

#[test]
fn a_damaged_blob_is_never_sent_to_its_end() {
    runtime().block_on(async {
        let (near, files) = (Store::new(), Files::new());
        let (digest, content) = large_image(&near, LARGE).await;
        let bundle = bundle_of(&near).await;
        files.write("b.tar", &bundle);
        files.damage("b.tar", &digest).await;
        let damaged = std::fs::read(files.path("b.tar")).unwrap();
        files.split("parts.tar", &damaged, 1 << 20);
        for name in ["b.tar", "parts.tar"] {
            for range in ranges().into_iter().filter(|range| !range.is_empty()) {
                let served = files.open(&[name]).await.unwrap();
                let asked = ByteRange::new(range.start, range.end - range.start);
                let path = blob(&digest);
                let readers = join_all((0..8).map(|_| served.reader(&path, asked))).await;
                // Those that begin before the check has ended get a beginning, and later ones nothing.
                for reader in readers {
                    let error = match reader {
                        Ok(reader) => streamed(reader).await.unwrap_err(),
                        Err(error) => error,
                    };
                    assert_eq!(error.kind(), ErrorKind::Other);
                    let text = chain(&error);
                    assert!(text.contains("the bundle is damaged at byte"), "{text}");
                    assert!(text.contains(&format!("blobs/sha256/{}", digest.hex())), "{text}");
                    assert_eq!(text.contains("parts.tar.001"), name == "parts.tar", "{text}");
                }
                served.reader(&blob(&digest), asked).await.unwrap_err();
                // The rest of the image is served.
                let image = over(&served).repository("large").manifests();
                image.get(&"1".parse().unwrap()).await.unwrap();
            }
        }
        let served = files.open(&["b.tar"]).await.unwrap();
        let reader = served.reader(&blob(&digest), ByteRange::ALL).await.unwrap();
        let file = reader.into_file().unwrap();
        let windows: Vec<_> = file.windows.collect_until_error().await;
        let sent: u64 = windows.iter().map(|window| window.end - window.start).sum();
        assert!(sent < content.len() as u64, "{sent} bytes");
    });
}

/// Collects what comes before an error.
trait CollectUntilError {
    async fn collect_until_error(self) -> Vec<Range<u64>>;
}

impl<S: futures::Stream<Item = sampan_driver::Result<Range<u64>>> + Unpin> CollectUntilError for S {
    async fn collect_until_error(mut self) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        loop {
            match self.try_next().await {
                Ok(Some(window)) => found.push(window),
                Ok(None) => panic!("it came to its end"),
                Err(_) => return found,
            }
        }
    }
}

#[test]
fn a_damaged_manifest_or_configuration_is_an_error_and_other_images_are_served() {
    runtime().block_on(async {
        let near = sample().await;
        let bundle = bundle_of(&near).await;
        let index = near.repository("team/app").manifests();
        let index = index.get(&"1.0".parse().unwrap()).await.unwrap();
        let long = near.repository("other").manifests().get(&"v2".parse().unwrap()).await.unwrap();
        for (name, tag, digest) in [("team/app", "1.0", &index.digest), ("other", "v2", &long.digest)] {
            let files = Files::new();
            files.write("b.tar", &bundle);
            files.damage("b.tar", digest).await;
            let served = files.open(&["b.tar"]).await.unwrap();
            let store = over(&served);
            for reference in [Reference::Tag(tag.parse().unwrap()), Reference::Digest(digest.clone())] {
                let error = store.repository(name).manifests().get(&reference).await.unwrap_err();
                assert!(chain(&error).contains("corrupt"), "{}", chain(&error));
            }
            let small = served.reader(&blob(digest), ByteRange::ALL).await.unwrap_err();
            assert!(chain(&small).contains("damaged at byte"), "{}", chain(&small));
            let tags = store.repository(name).tags().list(None, None).await.unwrap();
            assert!(tags.items.contains(&tag.to_owned()));
            let mut walked = served.walk(&DriverPath::root(), None);
            while walked.try_next().await.unwrap().is_some() {}
            let (other, tag) = if name == "other" { ("team/app", "1.0") } else { ("other", "v2") };
            store.repository(other).manifests().get(&tag.parse().unwrap()).await.unwrap();
            let error = served.verify().await.unwrap_err();
            assert!(chain(&error).contains("b.tar: the bundle is damaged"), "{}", chain(&error));
        }
    });
}

#[test]
fn a_file_that_is_cut_while_it_is_served_is_an_error() {
    runtime().block_on(async {
        let (near, files) = (Store::new(), Files::new());
        let (digest, _) = large_image(&near, LARGE).await;
        files.write("b.tar", &bundle_of(&near).await);
        for is_verified in [false, true] {
            files.write("b.tar", &bundle_of(&near).await);
            let served = files.open(&["b.tar"]).await.unwrap();
            if is_verified {
                served.verify().await.unwrap();
            }
            let reader = served.reader(&blob(&digest), ByteRange::ALL).await.unwrap();
            let file = std::fs::File::options().write(true).open(files.path("b.tar")).unwrap();
            if is_verified {
                file.set_len(LARGE as u64 / 2).unwrap();
                streamed(reader).await.unwrap_err();
            } else {
                // Whatever the check has read by now, it cannot come to the end.
                drop(reader);
                file.set_len(LARGE as u64 / 2).unwrap();
                let again = files.open(&["b.tar"]).await.unwrap_err();
                assert!(chain(&again).contains("bytes too early"), "{}", chain(&again));
            }
        }
    });
}

/// Opens a bundle with this plan whose content is all zeros, and asks it for everything.
async fn serve_plan(plan: Plan) -> Result<(), String> {
    let files = Files::new();
    let index = index_json(&plan);
    let bundle = Bundle::assemble(plan, index, None, None).map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    bundle.write(0..bundle.layout().head_len(), &Nothing, &mut head).await.unwrap();
    let path = files.write("b.tar", &head);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(bundle.layout().len_bytes()).unwrap();
    let served = files.open(&["b.tar"]).await.map_err(|error| chain(&error))?;
    let mut found = served.walk(&DriverPath::root(), None);
    let mut paths = Vec::new();
    while let Some(file) = found.try_next().await.map_err(|error| chain(&error))? {
        paths.push(file.path);
    }
    for path in paths {
        let Some(Entry::Blob(digest)) = Entry::parse(&path) else {
            served.get_content(&path).await.unwrap();
            continue;
        };
        let read = match served.reader(&path, ByteRange::ALL).await {
            Ok(reader) => streamed(reader).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(content) => assert_eq!(Digest::of(digest.algorithm(), &content), digest, "{path}"),
            Err(error) => assert!(chain(&error).contains("damaged"), "{}", chain(&error)),
        }
    }
    for (repository, image) in bundle.plan().images() {
        let repository = over(&served).repository(repository.name.as_str());
        for reference in image.tags.iter().cloned().map(Reference::Tag).chain([image.digest.clone().into()]) {
            repository.manifests().get(&reference).await.unwrap_err();
        }
        // A subject that is too long for a manifest is an error.
        let listed = repository.referrers().list(&image.digest, &Default::default()).await;
        assert!(
            listed
                .map_or_else(|error| chain(&error).contains("manifest"), |page| page.descriptors.is_empty())
        );
    }
    Ok(())
}

/// A source of no content.
struct Nothing;

impl sampan_bundle::ContentSource for Nothing {
    async fn open(
        &self,
        _: &PlannedContent,
    ) -> Result<sampan_bundle::ContentStream, sampan_bundle::BoxError> {
        Err("there is none".into())
    }
}

fn hostile(content: PlannedContent, tags: &[&str]) -> Plan {
    let image = PlannedImage {
        digest: content.digest.clone(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        media_type: "x".repeat(1000),
        left_out: Vec::new(),
        referrers: vec![PlannedReferrer {
            digest: content.digest.clone(),
            subject: content.digest.clone(),
            media_type: String::new(),
            artifact_type: "\u{1b}[31m".to_owned(),
        }],
    };
    let repository =
        PlannedRepository { name: "a/b".parse().unwrap(), complete: true, images: vec![image.clone()] };
    let below = PlannedRepository { name: "a".parse().unwrap(), complete: false, images: vec![image] };
    let empty = PlannedRepository { name: "c".parse().unwrap(), complete: true, images: Vec::new() };
    Plan {
        source: "near.example".to_owned(),
        docker_platform: "linux/amd64".to_owned(),
        contents: vec![content],
        repositories: vec![repository, below, empty],
        ..Plan::default()
    }
}

#[test]
fn a_plan_that_lies_about_its_content_serves_nothing() {
    runtime().block_on(async {
        for algorithm in Algorithm::ALL {
            for size_bytes in [0, 1, 512, 100_000, MAX_MANIFEST_BYTES + 1] {
                let digest = Digest::of(algorithm, b"something else");
                let content = PlannedContent { digest, size_bytes, kind: ContentKind::Manifest };
                serve_plan(hostile(content, &["1", "sha256-x", "_"])).await.unwrap();
            }
        }
        let digest = Digest::sha256_of(b"x");
        let content = PlannedContent { digest, size_bytes: u64::MAX - 600, kind: ContentKind::Manifest };
        assert!(serve_plan(hostile(content, &[])).await.unwrap_err().contains("overflow"));
    });
}

#[test]
fn a_head_with_any_byte_changed_serves_what_it_did_or_does_not_open() {
    runtime().block_on(async {
        let (near, files) = (sample().await, Files::new());
        let bundle = bundle_of(&near).await;
        files.write("b.tar", &bundle);
        let expected = over(&files.open(&["b.tar"]).await.unwrap()).state().await;
        let head_len = {
            let reader = sampan_bundle::Reader::open(&[files.path("b.tar")]).await.unwrap();
            let bundle = reader.bundle();
            let LeadingFiles { plan, .. } = bundle.head();
            let layout = Layout::of(bundle.plan(), plan.len() as u64, None).unwrap();
            usize::try_from(layout.head_len()).unwrap()
        };
        for position in (0..head_len).step_by(131) {
            let mut damaged = bundle.clone();
            damaged[position] ^= 1;
            files.write("b.tar", &damaged);
            if let Ok(served) = files.open(&["b.tar"]).await {
                assert_eq!(over(&served).state().await, expected, "byte {position}");
            }
        }
    });
}
