//! What comes back with a removed tag of an index: the children that the repository had, and no others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{
    Clock, Error, IndexChildren, Limits, OnExistingTag, Registry, RestoreOutcome, Validation,
};
use serde_json::json;

use super::client::{Client, INDEX, Image, MANIFEST, index, name, tag};
use super::store::is_valid;
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::{Clause, Context, Failed, clause::table};

async fn a_deleted_index_comes_back_with_its_children(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let children = [Image::new(1), Image::new(2)];
    for child in &children {
        client.push_image("image", child, "child").await?;
    }
    let index = index(&[&children[0], &children[1]]);
    client.push_manifest("image", &index, tag("all"), &[]).await?;
    let manifests = client.repository("image").manifests();
    manifests.delete(&Digest::sha256_of(&index).into()).await?;
    for child in &children {
        manifests.delete(&child.digest().into()).await?;
    }
    let tags = Client::of_another_process(&ctx).await?.repository("image").tags();
    let outcome = tags.restore(&tag("all"), None, OnExistingTag::Keep).await?;
    equal(outcome, RestoreOutcome::Restored(Digest::sha256_of(&index)), "the restoration")?;
    equal(manifests.get(&tag("all").into()).await?.bytes, index.clone(), "the index")?;
    for child in &children {
        equal(manifests.get(&child.digest().into()).await?.bytes, child.manifest.clone(), "a child")?;
    }
    // A child is no image without its layers, and the others do not come back without it.
    manifests.delete(&Digest::sha256_of(&index).into()).await?;
    for child in &children {
        manifests.delete(&child.digest().into()).await?;
    }
    let layer = Entry::LayerLink(name("image"), Digest::sha256_of(&children[1].config));
    ctx.delete(layer.path().as_str()).await?;
    let broken = tags.restore(&tag("all"), None, OnExistingTag::Keep).await;
    ensure(
        matches!(&broken, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [children[1].digest()]),
        format_args!("an index whose child has lost a layer was answered by {broken:?}"),
    )?;
    is_valid(ctx.driver()).await
}

/// The index names another index, whose child is an image.
async fn a_deleted_index_comes_back_with_what_its_children_name(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let image = Image::new(1);
    client.push_image("image", &image, "child").await?;
    let inner = index(&[&image]);
    let inner_digest = Digest::sha256_of(&inner);
    client.push_manifest("image", &inner, tag("inner"), &[]).await?;
    let outer = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": inner_digest.to_string(),
            "size": inner.len(),
        }],
    });
    let outer = Bytes::from(outer.to_string());
    client.push_manifest("image", &outer, tag("all"), &[]).await?;
    let manifests = client.repository("image").manifests();
    for digest in [Digest::sha256_of(&outer), inner_digest.clone(), image.digest()] {
        manifests.delete(&digest.into()).await?;
    }
    let tags = Client::of_another_process(&ctx).await?.repository("image").tags();
    let outcome = tags.restore(&tag("all"), None, OnExistingTag::Keep).await?;
    equal(outcome, RestoreOutcome::Restored(Digest::sha256_of(&outer)), "the restoration")?;
    equal(manifests.get(&image.digest().into()).await?.bytes, image.manifest.clone(), "the image")?;
    is_valid(ctx.driver()).await
}

async fn children_that_went_while_their_index_came_are_linked_again(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let [image, sparse] = [Image::new(1), Image::new(2)];
    client.push_image("image", &image, "child").await?;
    let manifests = client.repository("image").manifests();
    let whole = index(&[&image]);
    client.push_manifest("image", &whole, tag("all"), &[]).await?;
    manifests.delete(&image.digest().into()).await?;
    let tags = client.repository("image").tags();
    tags.complete(&tag("all"), &BTreeSet::from([image.digest()])).await?;
    equal(manifests.get(&image.digest().into()).await?.bytes, image.manifest.clone(), "the child")?;
    // One that never was in the repository does not come.
    let incomplete = index(&[&image, &sparse]);
    let seed = Entry::Blob(Digest::sha256_of(&incomplete)).path();
    ctx.put(seed.as_str(), incomplete.clone()).await?;
    for entry in [
        Entry::RevisionLink(name("image"), Digest::sha256_of(&incomplete)),
        Entry::TagCurrent(name("image"), tag("sparse")),
    ] {
        ctx.put(entry.path().as_str(), Digest::sha256_of(&incomplete).to_string()).await?;
    }
    let gone = tags.complete(&tag("sparse"), &BTreeSet::from([image.digest(), sparse.digest()])).await;
    ensure(
        matches!(&gone, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [sparse.digest()]),
        format_args!("a child that is not there was answered by {gone:?}"),
    )
}

/// An index may name manifests that its repository need not have, such as those of a repository that its author may not read.
async fn children_that_were_never_there_do_not_come(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let secret = Image::new(1);
    client.push_image("other", &secret, "latest").await?;
    // The layers alone are no right to the manifest.
    for blob in secret.blobs() {
        client.push_blob("image", blob).await?;
    }
    let index_of = |digest: &Digest, media_type: &str, len: usize, os: &str| {
        let platform = json!({"architecture": "amd64", "os": os});
        let child =
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": len, "platform": platform});
        Bytes::from(json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).to_string())
    };
    let inner = index_of(&secret.digest(), MANIFEST, secret.manifest.len(), "windows");
    let outer = index_of(&Digest::sha256_of(&inner), INDEX, inner.len(), "linux");
    for index_children in
        [IndexChildren::Platforms(vec![("amd64".to_owned(), "linux".to_owned())]), IndexChildren::None]
    {
        let validation = Validation { index_children, ..Validation::default() };
        let limits = Limits { delete: true, ..Limits::default() };
        let registry =
            Registry::builder(ctx.driver().clone()).limits(limits).validation(validation.clone()).build();
        let client = Client { registry };
        client.push_manifest("image", &inner, tag("inner"), &[]).await?;
        client.push_manifest("image", &outer, tag("all"), &[]).await?;
        let (repository, secret) = (client.repository("image"), Reference::from(secret.digest()));
        let is_hidden = async |moment: &str| {
            let found = repository.manifests().get(&secret).await;
            let moment =
                format_args!("{moment}, {validation:?}: the manifest of another repository gave {found:?}");
            ensure(matches!(found, Err(Error::ManifestUnknown(..))), moment)
        };
        is_hidden("before").await?;
        let completed = repository.tags().complete(&tag("inner"), &BTreeSet::new()).await;
        ensure(
            matches!(&completed, Err(Error::ManifestReferencesUnknown(_))),
            format_args!("an index of a manifest that was never there was answered by {completed:?}"),
        )?;
        is_hidden("after the index was completed").await?;
        for index in [&outer, &inner] {
            repository.manifests().delete(&Digest::sha256_of(index).into()).await?;
        }
        repository.tags().restore(&tag("all"), None, OnExistingTag::Keep).await?;
        equal(repository.manifests().get(&tag("all").into()).await?.bytes, outer.clone(), "the index")?;
        is_hidden("after its tag was restored").await?;
        repository.manifests().delete(&Digest::sha256_of(&outer).into()).await?;
    }
    Ok(())
}

/// A store that takes half a minute for the data of one manifest, by a clock, or does not give them.
#[derive(Debug)]
struct Troubled {
    path: DriverPath,
    fails: bool,
    ahead_secs: Arc<AtomicU64>,
}

#[async_trait]
impl Hook for Troubled {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let is_read = matches!(operation, Operation::GetContent | Operation::Reader);
        match is_read && *path == self.path {
            true if self.fails => Err(DriverError::new(ErrorKind::Other, "test", operation, path)),
            true => {
                self.ahead_secs.fetch_add(30, Ordering::Relaxed);
                Ok(())
            }
            false => Ok(()),
        }
    }
}

/// A push of the tag waits for the removal, so that is short; and what is damaged can be deleted.
async fn a_tag_goes_however_slow_or_ill_the_children_of_its_index_are(ctx: Context) -> Result<(), Failed> {
    let (client, children) = (Client::new(ctx.driver()), [Image::new(1), Image::new(2)]);
    for child in &children {
        client.push_image("image", child, "child").await?;
    }
    let index = index(&[&children[0], &children[1]]);
    for fails in [false, true] {
        client.push_manifest("image", &index, tag("all"), &[]).await?;
        let (ahead_secs, begun) = (Arc::new(AtomicU64::new(0)), SystemTime::now());
        let path = Entry::Blob(children[0].digest()).path();
        let troubled = Arc::new(Troubled { path, fails, ahead_secs: ahead_secs.clone() });
        let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), troubled));
        let clock = Clock::new(move || begun + Duration::from_secs(ahead_secs.load(Ordering::Relaxed)));
        let limits = Limits { delete: true, ..Limits::default() };
        let manifests = Client { registry: Registry::builder(driver).limits(limits).clock(clock).build() }
            .repository("image")
            .manifests();
        let deleted = manifests.delete(&tag("all").into()).await;
        ensure(deleted.is_ok(), format_args!("the deletion was answered by {deleted:?} (fails: {fails})"))?;
        let removed = client.repository("image").tags().removed(Some(&tag("all")), 10).await?;
        equal(removed.items.len(), 1 + usize::from(fails), "the recorded removals")?;
        client.push_manifest("image", &index, tag("all"), &[]).await?;
        let manifests = client.repository("image").manifests();
        equal(manifests.get(&tag("all").into()).await?.bytes, index.clone(), "the index")?;
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::removed_children":
    a_deleted_index_comes_back_with_its_children,
    a_deleted_index_comes_back_with_what_its_children_name,
    children_that_went_while_their_index_came_are_linked_again,
    children_that_were_never_there_do_not_come,
    a_tag_goes_however_slow_or_ill_the_children_of_its_index_are,
};
