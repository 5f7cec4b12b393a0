//! Damage by power failures, bugs and interrupted deletions: the registry detects it, and clients can remove it.

use bytes::Bytes;
use sampan_driver::{DriverPath, StorageDriver};
use sampan_engine::Error;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference};

use super::client::{Client, Image, name, tag};
use super::store::is_valid;
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

/// An empty link counts as missing. A link with invalid content is an error for pulls, but not for pushes and deletions.
async fn links_can_be_deleted_and_replaced(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let alias = Digest::of(Algorithm::Sha512, &image.manifest);
    let links = [
        (Entry::TagCurrent(name("image"), tag("latest")), Reference::Tag(tag("latest"))),
        (Entry::RevisionLink(name("image"), image.digest()), image.digest().into()),
        (Entry::RevisionLink(name("image"), alias.clone()), alias.clone().into()),
    ];
    for content in ["", "sha256:rubbish"] {
        for (entry, reference) in &links {
            let what = format_args!("{reference} with the link {content:?}").to_string();
            for is_replaced in [true, false] {
                client.push_image("image", &image, "latest").await?;
                client.push_manifest("image", &image.manifest, alias.clone(), &[]).await?;
                ctx.put(entry.path().as_str(), content).await?;
                let got = client.repository("image").manifests().get(reference).await;
                let is_right = match content {
                    "" => matches!(got, Err(Error::ManifestUnknown(..))),
                    _ => matches!(got, Err(Error::Corrupt(..))),
                };
                ensure(is_right, format_args!("{what} was answered by {got:?}"))?;
                if is_replaced {
                    client.push_manifest("image", &image.manifest, reference.clone(), &[]).await?;
                    client.pulls("image", &image, reference.clone()).await?;
                    continue;
                }
                match client.repository("image").manifests().delete(reference).await {
                    Ok(()) | Err(Error::ManifestUnknown(..)) => {}
                    Err(error) => return Err(Failed::new(format_args!("{what} cannot be deleted: {error}"))),
                }
                lacks(&client, reference, &what).await?;
                ensure(!exists(&ctx, &entry.path()).await?, format_args!("{what} is still there"))?;
            }
        }
    }
    is_valid(ctx.driver()).await
}

/// As in CNCF Distribution, where an interrupted deletion leaves such a tag.
async fn a_tag_without_its_manifest_is_unknown(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let other = Image::new(2);
    client.push_image("image", &image, "latest").await?;
    client.push_image("image", &other, "other").await?;
    client.pulls("image", &image, tag("latest")).await?;
    ctx.delete(Entry::RevisionLink(name("image"), image.digest()).path().as_str()).await?;
    lacks(&client, &tag("latest").into(), "a tag without its manifest").await?;
    let stat = client.repository("image").manifests().stat(&tag("latest").into()).await;
    ensure(matches!(stat, Err(Error::ManifestUnknown(..))), format_args!("it was answered by {stat:?}"))?;
    // A push can set the tag again, and a deletion can remove it.
    client.push_manifest("image", &other.manifest, tag("latest"), &[]).await?;
    client.pulls("image", &other, tag("latest")).await?;
    ctx.delete(Entry::RevisionLink(name("image"), other.digest()).path().as_str()).await?;
    for name in ["latest", "other"] {
        let deleted = client.repository("image").manifests().delete(&tag(name).into()).await;
        ensure(
            matches!(deleted, Err(Error::ManifestUnknown(..))),
            format_args!("its deletion was answered by {deleted:?}"),
        )?;
    }
    match client.repository("image").tags().list(None, None).await {
        Ok(page) => equal(page.items.len(), 0, "the number of tags that are left")?,
        Err(Error::RepositoryUnknown(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A power failure empties data that were never synced.
async fn an_empty_file_is_no_content(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.put_blobs("image", &image).await?;
    let layer = Digest::sha256_of(&image.layers[0]);
    ctx.put(Entry::Blob(layer.clone()).path().as_str(), "").await?;
    // Another process, which has not seen the data.
    let client = Client::of_another_process(&ctx).await?;
    let put = client.push_manifest("image", &image.manifest, tag("latest"), &[]).await;
    let is_right = matches!(&put, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [layer]);
    ensure(is_right, format_args!("a manifest of an empty layer was answered by {put:?}"))?;
    client.push_image("image", &image, "latest").await?;
    ctx.put(Entry::Blob(image.digest()).path().as_str(), "").await?;
    let client = Client::of_another_process(&ctx).await?;
    lacks(&client, &image.digest().into(), "a manifest whose data are empty").await?;
    client.push_manifest("image", &image.manifest, tag("latest"), &[]).await?;
    client.pulls("image", &image, tag("latest")).await
}

/// Damage of the right length is found by a manifest with a wrong one; a push heals it for every process that found it.
async fn a_blob_that_was_damaged_is_known_again_when_it_is_healed(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let other = Client::of_another_process(&ctx).await?;
    client.put_blobs("image", &image).await?;
    let layer = Digest::sha256_of(&image.layers[0]);
    let mut damaged = image.layers[0].to_vec();
    damaged[100] ^= 1;
    ctx.put(Entry::Blob(layer.clone()).path().as_str(), damaged).await?;
    let text = String::from_utf8_lossy(&image.manifest).replace("\"size\":20000", "\"size\":19999");
    let odd = Bytes::from(text);
    for client in [&client, &other] {
        let put = client.push_manifest("image", &odd, tag("odd"), &[]).await;
        let is_right =
            matches!(&put, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [layer.clone()]);
        ensure(is_right, format_args!("a manifest of a damaged layer was answered by {put:?}"))?;
        let stat = client.repository("image").blobs().stat_and_lease(&layer).await;
        ensure(matches!(stat, Err(Error::BlobUnknown(..))), format_args!("the damaged layer is {stat:?}"))?;
    }
    // The other registry knows the healed blob by its time, which some stores have in seconds.
    let data = Entry::Blob(layer.clone()).path();
    let damaged = ctx.driver().stat(&data).await?.modified;
    client.push_image("image", &image, "latest").await?;
    while ctx.driver().stat(&data).await?.modified == damaged {
        ctx.put(data.as_str(), image.layers[0].clone()).await?;
    }
    for client in [&client, &other] {
        client.repository("image").blobs().stat_and_lease(&layer).await?;
        client.pulls("image", &image, tag("latest")).await?;
    }
    // The descriptor is wrong, and the data are not.
    for client in [&client, &other] {
        client.push_manifest("image", &odd, tag("odd"), &[]).await?;
    }
    Ok(())
}

async fn lacks(client: &Client, reference: &Reference, what: &str) -> Result<(), Failed> {
    let got = client.repository("image").manifests().get(reference).await;
    ensure(
        matches!(got, Err(Error::ManifestUnknown(..))),
        format_args!("{what} should be unknown, but it was answered by {got:?}"),
    )
}

async fn exists(ctx: &Context, path: &DriverPath) -> Result<bool, Failed> {
    match ctx.driver().stat(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::damaged":
    links_can_be_deleted_and_replaced,
    a_tag_without_its_manifest_is_unknown,
    an_empty_file_is_no_content,
    a_blob_that_was_damaged_is_known_again_when_it_is_healed,
};
