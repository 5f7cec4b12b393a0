//! A served bundle answers as the store that it was exported from, and as one that it was imported into.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;
use proptest::test_runner::Config;
use sampan_bundle::Reader;
use sampan_bundle_store::{BundleStore, Error};
use sampan_driver::{
    Condition, Deadline, DirEntry, DriverPath, ErrorKind, PutMode, StorageDriver, WriteHint, WriteMode,
};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest, Reference, RepositoryName};
use sampan_transfer::{Holdings, Progress, Source, inventory};
use support::transfer::recipes::{build, recipes};
use support::transfer::{Store, Way, export, import_bytes, import_options, options, runtime, sample};
use support::{Files, bundle_of, chain, over};

/// The bytes of a blob, by the engine.
async fn read_blob(store: &Store, name: &RepositoryName, digest: &Digest) -> Vec<u8> {
    let blob = store.source().blob(name, digest).await.unwrap();
    let chunks: Vec<_> = blob.try_collect().await.unwrap();
    chunks.concat()
}

/// Both stores have the same tags, manifests, referrers and blobs, with the same bytes. The bundle knows a blob only by the
/// digest that its manifests have.
async fn check_same(near: &Store, served: &Store) {
    let (expected, found) = (near.state().await, served.state().await);
    let names = |state: &BTreeMap<String, Vec<String>>| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for (name, lines) in &expected {
        let found: BTreeSet<&String> = found[name].iter().collect();
        let added: Vec<_> = found.iter().filter(|line| !lines.contains(line)).collect();
        assert!(added.is_empty(), "{name}: {added:#?}");
        let name: RepositoryName = name.parse().unwrap();
        for line in lines.iter().filter(|line| !found.contains(line)) {
            let digest: Digest = line.strip_prefix("blob ").unwrap_or_else(|| panic!("{name} lacks {line}"))
                [.."sha256:".len() + 64]
                .parse()
                .unwrap();
            let long = Digest::of(Algorithm::Sha512, &read_blob(near, &name, &digest).await);
            assert!(
                found.iter().any(|line| line.starts_with(&format!("blob {long} "))),
                "{name} lacks {line}"
            );
        }
        for line in found {
            let mut words = line.split(' ');
            match (words.next().unwrap(), words.next().unwrap()) {
                ("tag", tag) => {
                    let tag = Reference::Tag(tag.parse().unwrap());
                    let get = |store: &Store| store.repository(name.as_str()).manifests();
                    assert_eq!(get(served).get(&tag).await.unwrap(), get(near).get(&tag).await.unwrap());
                }
                ("manifest", digest) => {
                    let digest: Digest = digest.parse().unwrap();
                    let get = |store: &Store| store.repository(name.as_str()).manifests();
                    let reference = Reference::Digest(digest.clone());
                    assert_eq!(
                        get(served).get(&reference).await.unwrap(),
                        get(near).get(&reference).await.unwrap()
                    );
                    let descriptors = |store: &Store| store.source();
                    assert_eq!(
                        descriptors(served).referrers(&name, &digest).await.unwrap(),
                        descriptors(near).referrers(&name, &digest).await.unwrap()
                    );
                }
                (_, digest) => {
                    let digest: Digest = digest.parse().unwrap();
                    assert_eq!(
                        read_blob(served, &name, &digest).await,
                        read_blob(near, &name, &digest).await
                    );
                }
            }
        }
    }
}

/// Every listing agrees with the walk, from its beginning and after each of its names.
async fn check_listings(store: &BundleStore) {
    let files: Vec<_> = store.walk(&DriverPath::root(), None).try_collect().await.unwrap();
    let mut levels: BTreeMap<DriverPath, BTreeMap<String, bool>> = BTreeMap::new();
    for file in &files {
        assert_eq!(store.stat(&file.path).await.unwrap(), *file);
        let content = store.get_content(&file.path).await.unwrap();
        assert_eq!(content.len() as u64, file.size_bytes, "{}", file.path);
        // As the engine and Distribution write links: the digest that names the data.
        if let Some(Entry::LayerLink(..) | Entry::RevisionLink(..)) = Entry::parse(&file.path) {
            let target: Digest = std::str::from_utf8(&content).unwrap().parse().unwrap();
            assert!(target.is_canonical(), "{} leads to {target}", file.path);
            store.stat(&Entry::Blob(target).path()).await.unwrap();
        }
        let (mut path, mut is_directory) = (file.path.clone(), false);
        while let Some(parent) = path.parent() {
            let level = levels.entry(parent.clone()).or_default();
            level.insert(path.name().unwrap().to_owned(), is_directory);
            (path, is_directory) = (parent, true);
        }
    }
    let paths: Vec<&DriverPath> = files.iter().map(|file| &file.path).collect();
    assert!(paths.is_sorted() && !paths.is_empty());
    for (path, level) in &levels {
        let expected: Vec<DirEntry> = level
            .iter()
            .map(|(name, is_directory)| match is_directory {
                true => DirEntry::Directory(name.clone()),
                false => DirEntry::File(name.clone()),
            })
            .collect();
        let listed: Vec<DirEntry> = store.list(path, None).try_collect().await.unwrap();
        assert_eq!(listed, expected, "{path}");
        for (index, entry) in expected.iter().enumerate().step_by(3) {
            let rest: Vec<DirEntry> = store.list(path, Some(entry.name())).try_collect().await.unwrap();
            assert_eq!(rest, expected[index + 1..], "{path} after {}", entry.name());
        }
        let below: Vec<_> = store.walk(path, None).try_collect().await.unwrap();
        let expected: Vec<_> = files.iter().filter(|file| file.path.below(path).is_some()).cloned().collect();
        assert_eq!(below, expected, "below {path}");
    }
    for (index, file) in files.iter().enumerate().step_by(7) {
        let rest: Vec<_> = store.walk(&DriverPath::root(), Some(&file.path)).try_collect().await.unwrap();
        assert_eq!(rest, files[index + 1..], "after {}", file.path);
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(16) })]

    #[test]
    fn a_served_bundle_has_what_was_exported(recipes in recipes(), in_parts in any::<bool>()) {
        runtime().block_on(async {
            let near = build(&recipes).await;
            let (files, bundle) = (Files::new(), bundle_of(&near).await);
            match in_parts {
                true => files.split("b.tar", &bundle, 4096),
                false => drop(files.write("b.tar", &bundle)),
            }
            let served = files.open(&["b.tar"]).await.unwrap();
            check_same(&near, &over(&served)).await;
            check_listings(&served).await;
            served.verify().await.unwrap();
            assert!(export(&over(&served), &options(&["**"])).await.unwrap() == bundle, "exported again");
        });
    }

    #[test]
    fn a_base_and_its_delta_are_one_registry(recipes in recipes(), known in 1..5usize) {
        runtime().block_on(async {
            let near = build(&recipes).await;
            let older = build(&recipes[..known.min(recipes.len())]).await;
            let files = Files::new();
            let base = files.write("base.tar", &bundle_of(&older).await);
            let base = Reader::open(&[base]).await.unwrap();
            let mut options = options(&["**"]);
            options.have = Holdings::default();
            options.have.add_plan(base.plan(), base.bundle().name());
            files.write("delta.tar", &export(&near, &options).await.unwrap());
            let served = files.open(&["base.tar", "delta.tar"]).await.unwrap();
            check_same(&near, &over(&served)).await;
            check_listings(&served).await;
        });
    }
}

/// The files of a store that has what a bundle has, with the content of links.
async fn files_of(driver: &dyn StorageDriver) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut files = driver.walk(&DriverPath::root(), None);
    while let Some(file) = files.try_next().await.unwrap() {
        if Entry::parse(&file.path).is_some() {
            let content = driver.get_content(&file.path).await.unwrap();
            found.insert(file.path.to_string(), content.to_vec());
        }
    }
    found
}

#[test]
fn a_served_bundle_has_the_files_of_a_store_that_imported_it() {
    runtime().block_on(async {
        let (near, far, files) = (Store::new(), Store::new(), Files::new());
        let one = near.image("a/b", Algorithm::Sha256, "one", &[vec![1; 70_000]], false, &["1", "1-a"]).await;
        let two = near.image("a/b", Algorithm::Sha256, "two", &[vec![2; 10]], true, &[]).await;
        let index = near.index("a/b", &[one.clone(), two], &["all"]).await;
        let sbom = near.referrer("a/b", &index, "sbom", &[]).await;
        near.referrer("a/b", &sbom, "signature", &["signature"]).await;
        near.image("a", Algorithm::Sha256, "three", &[vec![1; 70_000]], false, &["x"]).await;
        near.image("a-b", Algorithm::Sha256, "three", &[], false, &["x.y", "x-y", "x"]).await;
        let bundle = bundle_of(&near).await;
        import_bytes(&far, &bundle, Way::File, &import_options()).await.unwrap();
        // A first listing builds the index of each repository.
        far.state().await;
        files.write("b.tar", &bundle);
        let served = files.open(&["b.tar"]).await.unwrap();
        assert_eq!(files_of(&served).await, files_of(&*far.driver).await);
    });
}

/// A listing of referrers is a request of clients, and layers may be long.
#[test]
fn only_a_listing_of_layers_hashes_those_by_sha512() {
    runtime().block_on(async {
        let (near, files, name) = (Store::new(), Files::new(), "a".parse().unwrap());
        let layer = vec![9; 100_000];
        near.image("a", Algorithm::Sha512, "x", std::slice::from_ref(&layer), false, &["1"]).await;
        files.write("b.tar", &bundle_of(&near).await);
        let served = files.open(&["b.tar"]).await.unwrap();
        let data = Entry::Blob(Digest::sha256_of(&layer)).path();
        for path in [layout::referrers(&name), layout::all_revisions(&name), layout::manifests(&name)] {
            let listed: Vec<DirEntry> = served.list(&path, None).try_collect().await.unwrap();
            assert!(!listed.is_empty(), "{path}");
            assert_eq!(served.stat(&data).await.unwrap_err().kind(), ErrorKind::NotFound, "{path}");
        }
        let listed: Vec<DirEntry> = served.list(&layout::layers(&name), None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 2, "both algorithms: {listed:?}");
        served.stat(&data).await.unwrap();
    });
}

#[test]
fn the_last_bundle_that_has_a_tag_counts() {
    runtime().block_on(async {
        let files = Files::new();
        let mut digests = Vec::new();
        for content in ["old", "new"] {
            let store = Store::new();
            let tags: &[&str] = if content == "old" { &["1", "old"] } else { &["1"] };
            digests.push(store.image("a", Algorithm::Sha256, content, &[], false, tags).await.digest);
            files.write(&format!("{content}.tar"), &bundle_of(&store).await);
        }
        for (order, expected) in [(["old.tar", "new.tar"], 1), (["new.tar", "old.tar"], 0)] {
            let served = over(&files.open(&order).await.unwrap());
            let get = |reference: Reference| {
                let manifests = served.repository("a").manifests();
                async move { manifests.get(&reference).await.unwrap().digest }
            };
            assert_eq!(get("1".parse().unwrap()).await, digests[expected], "{order:?}");
            assert_eq!(get("old".parse().unwrap()).await, digests[0]);
            for digest in &digests {
                get(digest.clone().into()).await;
            }
        }
    });
}

#[test]
fn a_delta_without_its_base_does_not_open() {
    runtime().block_on(async {
        let (near, files) = (sample().await, Files::new());
        let mut options = options(&["**"]);
        let lines = inventory(&near.source(), &[], false, &Progress::default()).await.unwrap().lines;
        options.have.add_lines(lines.join("\n").as_bytes()).unwrap();
        files.write("base.tar", &bundle_of(&near).await);
        near.image("team/app", Algorithm::Sha256, "new", &[vec![1; 3000]], false, &["2.0"]).await;
        files.write("delta.tar", &export(&near, &options).await.unwrap());
        let error = files.open(&["delta.tar"]).await.unwrap_err();
        assert!(matches!(&error, Error::PresumedMissing { missing, .. } if missing.len() == 1), "{error}");
        let layer = Digest::sha256_of(&[1; 3000]).to_string();
        let text = error.to_string();
        assert!(text.contains("delta.tar presumes one blob") && text.contains(&layer), "{text}");
        files.open(&["delta.tar", "base.tar"]).await.unwrap();
    });
}

#[test]
fn a_blob_is_visible_in_the_repositories_of_its_images_only() {
    runtime().block_on(async {
        let (near, files) = (Store::new(), Files::new());
        near.image("public", Algorithm::Sha256, "one", &[vec![1; 10]], false, &["1"]).await;
        near.image("secret", Algorithm::Sha256, "two", &[vec![2; 10]], false, &["1"]).await;
        files.write("b.tar", &bundle_of(&near).await);
        let served = over(&files.open(&["b.tar"]).await.unwrap());
        let has = |name: &'static str, byte: u8| {
            let source = served.source();
            async move { source.blob_size(&name.parse().unwrap(), &Digest::sha256_of(&[byte; 10])).await.unwrap() }
        };
        assert_eq!((has("public", 1).await, has("public", 2).await), (Some(10), None));
        assert_eq!((has("secret", 1).await, has("secret", 2).await), (None, Some(10)));
        assert_eq!(has("nowhere", 1).await, None);
    });
}

#[test]
fn every_write_is_unsupported_and_changes_nothing() {
    runtime().block_on(async {
        let files = Files::new();
        files.write("b.tar", &bundle_of(&sample().await).await);
        let served = files.open(&["b.tar"]).await.unwrap();
        let tags = layout::tags(&"team/app".parse().unwrap());
        let path = Entry::TagCurrent("team/app".parse().unwrap(), "latest".parse().unwrap()).path();
        let create = WriteMode::Create(WriteHint::default());
        let refused = [
            served.put_content(&path, "x".into(), PutMode::Overwrite).await,
            served.put_all(&[(path.clone(), "x".into())]).await,
            served.writer(&path, create).await.map(drop),
            served.writer(&path, WriteMode::Append).await.map(drop),
            served.rename(&path, &tags).await,
            served.delete(&path).await,
            served.delete_tree(&tags).await,
        ];
        for result in refused {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
        }
        let paths = futures::stream::iter([path.clone()]).boxed();
        let deleted: Vec<_> = served.delete_all(paths, Deadline::NONE).collect().await;
        assert!(matches!(&deleted[..], [(of, Err(error))] if *of == path && error.kind() == ErrorKind::Unsupported));
        assert!(!served.get_content(&path).await.unwrap().is_empty());
    });
}

#[test]
fn the_health_check_finds_a_bundle_that_was_replaced() {
    runtime().block_on(async {
        let (near, files) = (sample().await, Files::new());
        let bundle = bundle_of(&near).await;
        files.write("b.tar", &bundle);
        let served = files.open(&["b.tar"]).await.unwrap();
        assert!(matches!(served.check().await.unwrap(), Condition::ReadOnly(_)));
        files.write("new.tar", &bundle);
        std::fs::rename(files.path("new.tar"), files.path("b.tar")).unwrap();
        let error = chain(&served.check().await.unwrap_err());
        assert!(error.contains("b.tar") && error.contains("replaced"), "{error}");
        check_same(&near, &over(&served)).await;
    });
}
