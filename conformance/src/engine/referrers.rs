//! What is attached to manifests.

use bytes::Bytes;
use sampan_engine::oci::{Algorithm, Digest};

use super::client::{Client, EMPTY_JSON, Image, artifact};
use super::store::is_valid;
use crate::check::equal;
use crate::{Clause, Context, Failed, clause::table};

async fn an_attached_artifact_is_listed(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    lists(&ctx, &client, &image, &[]).await?;
    let signature = attach(&client, "application/vnd.example.signature", &image).await?;
    lists(&ctx, &client, &image, &[&signature]).await?;
    let sbom = attach(&client, "application/vnd.example.sbom", &image).await?;
    lists(&ctx, &client, &image, &[&signature, &sbom]).await?;
    let described = client.repository("image").referrers().list(&image.digest()).await?;
    for descriptor in described {
        let (artifact, kind) = match descriptor.digest == Digest::sha256_of(&sbom) {
            true => (&sbom, "application/vnd.example.sbom"),
            false => (&signature, "application/vnd.example.signature"),
        };
        equal(descriptor.artifact_type.as_deref(), Some(kind), "the artifact type")?;
        equal(descriptor.size, artifact.len() as u64, "the size")?;
    }
    is_valid(ctx.driver()).await
}

async fn the_subject_may_come_later_or_never(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let signature = attach(&client, "application/vnd.example.signature", &image).await?;
    lists(&ctx, &client, &image, &[&signature]).await?;
    client.push_image("image", &image, "latest").await?;
    lists(&ctx, &client, &image, &[&signature]).await
}

async fn a_deleted_artifact_is_not_listed(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let (first, second) = (
        attach(&client, "application/first", &image).await?,
        attach(&client, "application/second", &image).await?,
    );
    lists(&ctx, &client, &image, &[&first, &second]).await?;
    client.repository("image").manifests().delete(&Digest::sha256_of(&first).into()).await?;
    lists(&ctx, &client, &image, &[&second]).await?;
    attach(&client, "application/first", &image).await?;
    lists(&ctx, &client, &image, &[&first, &second]).await
}

/// A subject may be named by another algorithm than it is asked for by, where the repository knows both.
async fn a_subject_is_found_under_each_of_its_digests(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let alias = Digest::of(Algorithm::Sha512, &image.manifest);
    let by_canonical = attach(&client, "application/vnd.example.signature", &image).await?;
    let text = String::from_utf8(by_canonical.to_vec())?;
    let by_alias = Bytes::from(text.replacen(&image.digest().to_string(), &alias.to_string(), 1));
    client.push_manifest("image", &by_alias, Digest::sha256_of(&by_alias), &[]).await?;
    lists(&ctx, &client, &image, &[&by_canonical]).await?;
    client.push_image("image", &image, "latest").await?;
    client.push_manifest("image", &image.manifest, alias.clone(), &[]).await?;
    lists(&ctx, &client, &image, &[&by_canonical, &by_alias]).await?;
    let found = client.repository("image").referrers().list(&alias).await?;
    equal(found.len(), 2, "the number of referrers by the other digest")
}

async fn belong_to_their_repository(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    attach(&client, "application/vnd.example.signature", &image).await?;
    let elsewhere = client.repository("image/other").referrers().list(&image.digest()).await?;
    equal(elsewhere, [], "the referrers in another repository")
}

async fn attach(client: &Client, kind: &str, image: &Image) -> Result<Bytes, Failed> {
    let artifact = artifact(kind, &image.manifest);
    client.push_blob("image", &Bytes::from_static(EMPTY_JSON)).await?;
    let put = client.push_manifest("image", &artifact, Digest::sha256_of(&artifact), &[]).await?;
    equal(put.subject, Some(image.digest()), "the subject that is told")?;
    Ok(artifact)
}

/// Sees whether exactly these are listed, by the process that pushed them and by a new one.
async fn lists(ctx: &Context, client: &Client, image: &Image, artifacts: &[&Bytes]) -> Result<(), Failed> {
    let mut expected: Vec<Digest> = artifacts.iter().map(|artifact| Digest::sha256_of(artifact)).collect();
    expected.sort_unstable();
    for client in [client, &Client::of_another_process(ctx).await?] {
        let listed = client.repository("image").referrers().list(&image.digest()).await?;
        let mut listed: Vec<Digest> = listed.into_iter().map(|descriptor| descriptor.digest).collect();
        listed.sort_unstable();
        equal(&listed, &expected, "the referrers")?;
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::referrers":
    an_attached_artifact_is_listed,
    the_subject_may_come_later_or_never,
    a_deleted_artifact_is_not_listed,
    a_subject_is_found_under_each_of_its_digests,
    belong_to_their_repository,
};
