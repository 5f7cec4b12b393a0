//! The index of referrers: built where it is missing, and never trusted.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::try_join_all;
use sampan_driver::{Operation, PutMode, StorageDriver, StorageDriverExt};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Limits, ReferrersQuery, Registry};

use super::client::{Client, EMPTY_JSON, INDEX, Image, MANIFEST, artifact, index, name, tag};
use super::hooks::Counted;
use super::referrers::{attach_some, listed, paths};
use super::store::{indexes_are_complete, is_valid};
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

/// A store of Distribution, or of an earlier version.
async fn is_built_where_there_is_none(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.put_image("image", &image, "latest").await?;
    let alias = Digest::of(Algorithm::Sha512, &image.manifest);
    client.push_manifest("image", &image.manifest, alias.clone(), &[]).await?;
    let mut expected = attach_some(&client, &image, 5).await?;
    // One that names its subject by another algorithm.
    let text = String::from_utf8(artifact("application/vnd.alias", &image.manifest).to_vec())?;
    let by_alias = Bytes::from(text.replacen(&image.digest().to_string(), &alias.to_string(), 1));
    client.push_manifest("image", &by_alias, Digest::sha256_of(&by_alias), &[]).await?;
    expected.insert(Digest::sha256_of(&by_alias));
    let with_index = paths(&ctx).await?;
    ctx.driver().delete_tree(&layout::referrers(&name("image"))).await?;

    // Two replicas, each with several requests at once.
    let clients = [Client::new(ctx.driver()), Client::of_another_process(&ctx).await?];
    let lists = clients.iter().cycle().take(6).map(|client| listed(client, &image));
    for listed in try_join_all(lists).await? {
        equal(&listed, &expected, "the referrers at the first listing")?;
    }
    indexes_are_complete(ctx.driver()).await?;
    let marker = Entry::ReferrersComplete(name("image")).path();
    let built: BTreeSet<_> = paths(&ctx).await?.into_iter().filter(|path| *path != marker).collect();
    equal(built, with_index, "the store with an index that was built")?;
    ensure(ctx.driver().exists(&marker).await?, "the index does not say that it is complete")?;

    // From now on the index determines the reads.
    let counted = Counted::default();
    let other = Client::new(&counted.over(ctx.driver()));
    for digest in [image.digest(), alias] {
        let found = other.referrers("image", &digest).await?;
        equal(found.len(), expected.len(), "the referrers that the index has")?;
    }
    let walked = counted.count(|operation, path| {
        operation == Operation::List && *path == layout::revisions(&name("image"), Algorithm::Sha256)
    });
    equal(walked, 0, "how often all manifests of the repository were listed")?;
    is_valid(ctx.driver()).await
}

/// An unmounted disk looks like a repository without manifests. When the disk is back, its referrers are listed.
async fn is_not_built_of_half_a_store(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let expected = attach_some(&client, &image, 3).await?;
    ctx.driver().delete_tree(&layout::referrers(&name("image"))).await?;
    let mut away = Vec::new();
    for digest in &expected {
        let data = Entry::Blob(digest.clone()).path();
        away.push((data.clone(), ctx.driver().get_content(&data).await?));
        ctx.driver().delete_tree(&data).await?;
    }
    let before = paths(&ctx).await?;
    let client = Client::of_another_process(&ctx).await?;
    equal(listed(&client, &image).await?, BTreeSet::new(), "the referrers while their data are away")?;
    equal(paths(&ctx).await?, before, "the store after a listing while data are away")?;
    for (data, content) in away {
        ctx.driver().put_content(&data, content, PutMode::Overwrite).await?;
    }
    equal(listed(&client, &image).await?, expected, "the referrers when their data are back")
}

/// Artifacts that a client attaches through Distribution, after the index is complete, appear by the fallback tag.
async fn what_distribution_adds_comes_by_its_tag(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.put_image("image", &image, "latest").await?;
    let mut expected = attach_some(&client, &image, 2).await?;
    equal(listed(&client, &image).await?, expected.clone(), "the referrers of this registry")?;
    let theirs = artifact("application/vnd.theirs", &image.manifest);
    let digest = Digest::sha256_of(&theirs);
    client.push_manifest("image", &theirs, digest.clone(), &[]).await?;
    let entry = Entry::Referrer(name("image"), image.digest(), digest.clone());
    ctx.driver().delete(&entry.path()).await?;
    let list = index_of(&[&theirs]);
    let fallback = image.digest().to_string().replace(':', "-");
    client.push_manifest("image", &list, tag(&fallback), &[]).await?;
    expected.insert(digest.clone());
    equal(listed(&client, &image).await?, expected.clone(), "the referrers with those of the fallback tag")?;
    // In order, each once, even if both sources have it; and not after its deletion.
    client.push_manifest("image", &theirs, digest.clone(), &[]).await?;
    equal(listed(&client, &image).await?, expected.clone(), "the referrers that both have")?;
    ctx.driver().delete(&Entry::RevisionLink(name("image"), digest.clone()).path()).await?;
    expected.remove(&digest);
    equal(listed(&client, &image).await?, expected, "the referrers without one that Distribution deleted")
}

/// The tag contains the first 64 digits of a longer digest, and a tag with invalid content hides nothing else.
async fn a_fallback_tag_is_cut_and_may_be_damaged(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.put_image("image", &image, "latest").await?;
    let attached = attach_some(&client, &image, 1).await?;
    equal(listed(&client, &image).await?, attached.clone(), "the referrers of this registry")?;
    let alias = Digest::of(Algorithm::Sha512, &image.manifest);
    let theirs = artifact("application/vnd.theirs", &image.manifest);
    let digest = Digest::sha256_of(&theirs);
    client.push_manifest("image", &theirs, digest.clone(), &[]).await?;
    ctx.driver().delete(&Entry::Referrer(name("image"), image.digest(), digest.clone()).path()).await?;
    let fallback = format!("sha512-{}", &alias.hex()[..64]);
    client.push_manifest("image", &index_of(&[&theirs]), tag(&fallback), &[]).await?;
    let found = client.referrers("image", &alias).await?;
    equal(found.len(), 1, "the referrers by a tag that is cut")?;

    let fallback = tag(&image.digest().to_string().replace(':', "-"));
    client.push_manifest("image", &index(&[&image]), fallback.clone(), &[]).await?;
    let data = Entry::Blob(Digest::sha256_of(&index(&[&image]))).path();
    for content in [b"{}".as_slice(), b"", b"\xff"] {
        ctx.driver().put_content(&data, Bytes::from_static(content), PutMode::Overwrite).await?;
        let other = Client::of_another_process(&ctx).await?;
        equal(listed(&other, &image).await?, attached.clone(), "the referrers beside a damaged tag")?;
    }
    let link = Entry::TagCurrent(name("image"), fallback).path();
    ctx.driver().put_content(&link, Bytes::from_static(b"nowhere"), PutMode::Overwrite).await?;
    equal(listed(&client, &image).await?, attached, "the referrers beside a damaged link")
}

/// The registry ignores the content of an entry, reads only its path, and verifies that.
async fn an_entry_is_a_hint(ctx: Context) -> Result<(), Failed> {
    let (client, image, other) = (Client::new(ctx.driver()), Image::new(1), Image::new(2));
    for (image, as_tag) in [(&image, "1"), (&other, "2")] {
        client.put_image("image", image, as_tag).await?;
    }
    let expected = attach_some(&client, &image, 2).await?;
    let to_other = Digest::sha256_of(&client.attach("image", "application/x", &other.manifest).await?);
    let elsewhere = Digest::sha256_of(&client.attach("elsewhere", "application/y", &image.manifest).await?);
    let gone = Digest::sha256_of(&client.attach("image", "application/gone", &image.manifest).await?);
    ctx.driver().delete(&Entry::RevisionLink(name("image"), gone.clone()).path()).await?;
    let layer = Digest::sha256_of(&image.layers[0]);
    let never = Digest::sha256_of(b"never");
    let hostile = [b"".as_slice(), b"\xff\xfe", b"../../../etc/passwd", EMPTY_JSON];
    let misplaced = [to_other, elsewhere, gone, layer, image.digest(), never.clone()];
    for (digest, content) in misplaced.iter().chain(&expected).zip(hostile.iter().cycle()) {
        let entry = Entry::Referrer(name("image"), image.digest(), digest.clone()).path();
        ctx.driver().put_content(&entry, Bytes::from_static(content), PutMode::Overwrite).await?;
    }
    let directory = layout::referrers_of(&name("image"), &image.digest(), Algorithm::Sha256);
    let index = layout::referrers(&name("image"));
    let sha256 = index.join("sha256")?;
    for stray in [
        directory.join("x")?,
        directory.join(&"F".repeat(64))?,
        directory.join(&never.hex()[1..])?,
        directory.join("deep")?.join("er")?,
        sha256.join("nothing")?,
        index.join("md5")?.join("x")?,
        index.join("complete.0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77")?,
    ] {
        ctx.driver().put_content(&stray, Bytes::from_static(b"stray"), PutMode::Overwrite).await?;
    }
    for client in [client, Client::of_another_process(&ctx).await?] {
        equal(listed(&client, &image).await?, expected.clone(), "the referrers among hostile entries")?;
    }
    Ok(())
}

/// A listing omits a damaged link or manifest, and nothing else.
async fn what_is_damaged_is_left_out(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut expected = attach_some(&client, &image, 4).await?;
    let digests: Vec<Digest> = expected.iter().cloned().collect();
    let [_, link, data, _] = &digests[..] else { return Err(Failed::new("four were attached")) };
    let nonsense = Bytes::from_static(b"nonsense");
    let link_path = Entry::RevisionLink(name("image"), link.clone()).path();
    ctx.driver().put_content(&link_path, nonsense.clone(), PutMode::Overwrite).await?;
    ctx.driver().put_content(&Entry::Blob(data.clone()).path(), nonsense, PutMode::Overwrite).await?;
    expected.remove(link);
    expected.remove(data);
    let client = Client::of_another_process(&ctx).await?;
    equal(listed(&client, &image).await?, expected, "the referrers without the damaged ones")
}

/// A request for a repository or subject that does not exist leaves nothing behind.
async fn of_a_question_nothing_is_left(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    equal(listed(&client, &image).await?, BTreeSet::new(), "what is attached to nothing")?;
    client.put_blobs("image", &image).await?;
    let before = paths(&ctx).await?;
    equal(listed(&client, &image).await?, BTreeSet::new(), "what is attached in a repository of blobs")?;
    equal(paths(&ctx).await?, before, "the store after a question about a repository that is none yet")?;
    client.push_manifest("image", &image.manifest, tag("latest"), &[]).await?;
    equal(listed(&client, &image).await?.len(), 0, "what is attached to the image")?;
    let (names, more) = (client.registry.catalog(None, 10).await?, "image".to_owned());
    equal(names.items, vec![more], "the repositories")
}

async fn nothing_is_written_in_read_only_mode(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.put_image("image", &image, "latest").await?;
    let expected = attach_some(&client, &image, 3).await?;
    client.attach("image", "application/other", &Image::new(2).manifest).await?;
    for has_index in [true, false] {
        if !has_index {
            ctx.driver().delete_tree(&layout::referrers(&name("image"))).await?;
        }
        let before = paths(&ctx).await?;
        let limits = Limits { read_only: true, ..Limits::default() };
        let registry = Registry::builder(ctx.driver().clone()).limits(limits).build();
        let reader = Client { registry };
        for limit in [1, 2, usize::MAX] {
            let mut query = ReferrersQuery { limit, ..ReferrersQuery::default() };
            let mut found = BTreeSet::new();
            loop {
                let page = reader.repository("image").referrers().list(&image.digest(), &query).await?;
                query.after = page.descriptors.last().map(|referrer| referrer.digest.clone());
                found.extend(page.descriptors.into_iter().map(|referrer| referrer.digest));
                if !page.has_more {
                    break;
                }
            }
            equal(&found, &expected, format_args!("the referrers in pages of {limit}"))?;
        }
        equal(paths(&ctx).await?, before, "the store after a reader")?;
    }
    Ok(())
}

/// An index in the format of the referrers tag schema.
fn index_of(artifacts: &[&Bytes]) -> Bytes {
    let manifests: Vec<_> = artifacts
        .iter()
        .map(|artifact| {
            let (digest, size) = (Digest::sha256_of(artifact), artifact.len());
            serde_json::json!({
                "mediaType": MANIFEST, "digest": digest.to_string(), "size": size,
                "artifactType": "application/vnd.theirs",
            })
        })
        .collect();
    serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string().into()
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::referrers_index":
    is_built_where_there_is_none,
    is_not_built_of_half_a_store,
    what_distribution_adds_comes_by_its_tag,
    a_fallback_tag_is_cut_and_may_be_damaged,
    an_entry_is_a_hint,
    what_is_damaged_is_left_out,
    of_a_question_nothing_is_left,
    nothing_is_written_in_read_only_mode,
};
