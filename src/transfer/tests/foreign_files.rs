//! Imports of what other tools packed.

#![expect(clippy::unwrap_used, reason = "the helpers of tests panic as the tests do")]

mod support;

use std::io::{Cursor, Read};

use sampan_bundle::IndexScope;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_foreign::{ForeignOptions, Input, Opened, open};
use sampan_transfer::{Error, ImportOptions, ImportReport, Progress, Source, StoreTarget, import};
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

async fn import_foreign(
    store: &Store,
    bytes: Vec<u8>,
    options: &ImportOptions,
) -> Result<ImportReport, Error> {
    let input = Input::Stream(Box::new(Cursor::new(bytes)));
    let Opened::Foreign(reader) = open(input, ForeignOptions::default(), |_| {}).await? else {
        panic!("it is no bundle")
    };
    import(&*reader, &StoreTarget::new(store.registry()), options, &Progress::default()).await
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
