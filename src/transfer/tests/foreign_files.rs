//! Imports of what other tools packed.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod fake_distribution;
mod support;

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read};

use fake_distribution::FakeDistribution;
use futures::TryStreamExt;
use sampan_bundle::IndexScope;
use sampan_driver::DriverPath;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_foreign::{ForeignOptions, Input, OpenedFile, open};
use sampan_transfer::{
    Error, ImportOptions, ImportReport, Progress, RegistryTarget, Renames, Source, StoreTarget, Target,
    import,
};
use support::{Store, export, import_options, name, options, sample};

/// Everything of `store` as another tool would pack it: its entries in another order, and without the plan.
async fn packed(store: &Store, keep: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut everything = options(&["**"]);
    everything.index = IndexScope::All;
    let bundle = export(store, &everything).await.unwrap();
    let mut archive = tar::Archive::new(&bundle[..]);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.push((name, content));
    }
    let mut packed = tar::Builder::new(Vec::new());
    for (name, content) in files.iter().rev() {
        if name.ends_with('/') || name.starts_with("bundle.json") || !keep(name) {
            continue;
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        packed.append_data(&mut header, name, &content[..]).unwrap();
    }
    packed.into_inner().unwrap()
}

/// The data directory of `store`, as oc-mirror packs it.
async fn data_directory(store: &Store, keep: impl Fn(&str) -> bool) -> Vec<u8> {
    let files: Vec<_> = store.driver.walk(&DriverPath::root(), None).try_collect().await.unwrap();
    let mut packed = tar::Builder::new(Vec::new());
    for file in files {
        let name = file.path.as_str().trim_start_matches('/').to_owned();
        if !keep(&name) {
            continue;
        }
        let content = store.driver.get_content(&file.path).await.unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        packed.append_data(&mut header, name, &content[..]).unwrap();
    }
    packed.into_inner().unwrap()
}

/// Whether a file is the content with this digest.
fn is_data(name: &str, digest: &Digest) -> bool {
    name.ends_with(&format!("{}/data", digest.hex()))
}

async fn import_foreign(
    store: &Store,
    bytes: Vec<u8>,
    options: &ImportOptions,
) -> Result<ImportReport, Error> {
    import_foreign_to(&StoreTarget::new(store.registry()), bytes, options).await
}

async fn import_foreign_to(
    target: &dyn Target,
    bytes: Vec<u8>,
    options: &ImportOptions,
) -> Result<ImportReport, Error> {
    let input = Input::Stream(Box::new(Cursor::new(bytes)));
    let OpenedFile::Foreign(reader) = open(input, ForeignOptions::default(), |_| {}).await? else {
        panic!("it is no bundle")
    };
    import(&*reader, target, options, &Progress::default()).await
}

#[tokio::test]
async fn what_another_tool_packed_imports_like_the_bundle() {
    let (near, far) = (sample().await, Store::new());
    let bytes = packed(&near, |_| true).await;
    let report = import_foreign(&far, bytes.clone(), &import_options()).await.unwrap();
    assert_eq!(report.imported, 3);
    assert_eq!(far.state().await, near.state().await);
    let again = import_foreign(&far, bytes, &import_options()).await.unwrap();
    assert_eq!((again.unchanged, again.stored_blobs), (3, 0));
}

#[tokio::test]
async fn an_index_with_a_part_of_its_platforms_keeps_its_digest() {
    let (near, far) = (Store::new(), Store::new());
    let one = near.image("app", Algorithm::Sha256, "one", &[vec![1; 100]], false, &[]).await;
    let two = near.image("app", Algorithm::Sha256, "two", &[vec![2; 100]], false, &[]).await;
    let index = near.index("app", &[one, two.clone()], &["1"]).await;
    let bytes = packed(&near, |name| !name.ends_with(two.digest.hex())).await;
    import_foreign(&far, bytes, &import_options()).await.unwrap();
    let found = far.source().manifest(&name("app"), &Reference::Tag("1".parse().unwrap())).await.unwrap();
    assert_eq!(found.unwrap().digest, index.digest);
    let child = far.source().manifest(&name("app"), &two.digest.into()).await.unwrap();
    assert_eq!(child, None);
}

#[tokio::test]
async fn a_damaged_blob_never_becomes_visible() {
    let near = Store::new();
    near.image("bad", Algorithm::Sha256, "one", &[vec![7; 1000]], false, &["1"]).await;
    near.image("good", Algorithm::Sha256, "two", &[vec![8; 1000]], false, &["1"]).await;
    let mut bytes = packed(&near, |_| true).await;
    let place = bytes.windows(1000).position(|bytes| bytes == [7; 1000]).unwrap();
    bytes[place + 500] ^= 1;
    let far = Store::new();
    let error = import_foreign(&far, bytes.clone(), &import_options()).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("hashes to"), "{error}");
    assert_eq!(far.source().tags(&name("bad")).await.unwrap(), None);
    let size = far.source().blob_size(&name("bad"), &Digest::sha256_of(&[7; 1000])).await.unwrap();
    assert_eq!(size, None);
    let going_on = ImportOptions { keep_going: true, ..import_options() };
    let report = import_foreign(&far, bytes, &going_on).await.unwrap();
    assert_eq!((report.imported, report.failures.len()), (1, 1));
    assert!(report.failures[0].is_damage && report.failures[0].image == "bad:1");
    assert_eq!(far.source().tags(&name("good")).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn images_of_an_index_that_an_earlier_archive_had_must_be_there() {
    let near = Store::new();
    let one = near.image("app", Algorithm::Sha256, "one", &[vec![1; 100]], false, &["one"]).await;
    let two = near.image("app", Algorithm::Sha256, "two", &[vec![2; 100]], false, &["two"]).await;
    let earlier = data_directory(&near, |_| true).await;
    near.index("app", &[one.clone(), two.clone()], &["1"]).await;
    for absent in [&[&one][..], &[&two], &[&one, &two]] {
        let empty = Store::new();
        let is_kept = |name: &str| !absent.iter().any(|image| is_data(name, &image.digest));
        let archive = data_directory(&near, is_kept).await;
        let refused = import_foreign(&empty, archive.clone(), &import_options()).await.unwrap_err();
        let Error::PresumedMissing(missing) = &refused else { panic!("{refused}") };
        let expected: HashSet<&Digest> = absent.iter().map(|image| &image.digest).collect();
        assert_eq!(missing.contents.iter().collect::<HashSet<_>>(), expected);
        assert!(refused.to_string().contains("earlier archive"), "{refused}");
        assert!(empty.state().await.is_empty(), "nothing was written");
        // With another name, too.
        for renamed in [false, true] {
            let renames = match renamed {
                true => Renames::new(vec!["app=mirror/app".parse().unwrap()]),
                false => Renames::default(),
            };
            let (far, options) = (Store::new(), ImportOptions { renames, ..import_options() });
            import_foreign(&far, earlier.clone(), &options).await.unwrap();
            import_foreign(&far, archive.clone(), &options).await.unwrap();
            let state = |state: BTreeMap<String, Vec<String>>| state.into_values().collect::<Vec<_>>();
            assert_eq!(state(far.state().await), state(near.state().await));
        }
    }
}

#[tokio::test]
async fn a_later_archive_is_imported_by_http_where_the_earlier_one_was() {
    let near = Store::new();
    near.image("base", Algorithm::Sha256, "base", &[vec![1; 100]], false, &["1"]).await;
    let seen: Vec<_> = near.driver.walk(&DriverPath::root(), None).try_collect().await.unwrap();
    let seen: HashSet<String> = seen.into_iter().map(|file| file.path.as_str()[1..].to_owned()).collect();
    let earlier = data_directory(&near, |_| true).await;
    near.image("app", Algorithm::Sha256, "new", &[vec![1; 100], vec![2; 100]], false, &["1"]).await;
    let later = data_directory(&near, |name| !name.ends_with("/data") || !seen.contains(name)).await;
    let empty = FakeDistribution::start();
    let target = RegistryTarget::new(empty.client());
    let refused = import_foreign_to(&target, later.clone(), &import_options()).await.unwrap_err();
    assert!(matches!(refused, Error::PresumedMissing(_)), "{refused}");
    let refused = refused.to_string();
    assert!(refused.contains("earlier archive") && !refused.contains("--have"), "{refused}");
    assert_eq!(empty.manifest_writes(), 0);
    let far = FakeDistribution::start();
    let target = RegistryTarget::new(far.client());
    for archive in [earlier, later] {
        let report = import_foreign_to(&target, archive, &import_options()).await.unwrap();
        assert_eq!(report.imported, 1);
    }
}
