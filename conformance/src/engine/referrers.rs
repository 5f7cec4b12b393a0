//! Artifacts attached to manifests.

use std::collections::BTreeSet;

use bytes::Bytes;
use sampan_driver::DriverPath;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Error, MAX_LISTED_BYTES, ReferrersPage, ReferrersQuery};

use super::client::{Client, EMPTY_JSON, Image, artifact, walk};
use super::store::is_valid;
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

async fn an_attached_artifact_is_listed(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    lists(&ctx, &client, &image, &[]).await?;
    let signature = attach(&client, "application/vnd.example.signature", &image).await?;
    lists(&ctx, &client, &image, &[&signature]).await?;
    let sbom = attach(&client, "application/vnd.example.sbom", &image).await?;
    lists(&ctx, &client, &image, &[&signature, &sbom]).await?;
    let described = client.referrers("image", &image.digest()).await?;
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

/// A request may name a subject by another algorithm than its manifests do, if the repository knows both digests.
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
    let found = client.referrers("image", &alias).await?;
    equal(found.len(), 2, "the number of referrers by the other digest")
}

async fn belong_to_their_repository(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    attach(&client, "application/vnd.example.signature", &image).await?;
    let elsewhere = client.referrers("image/other", &image.digest()).await?;
    equal(elsewhere, [], "the referrers in another repository")
}

async fn come_in_order_and_in_pages(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut expected = Vec::new();
    for number in 0..7 {
        let artifact = client.attach("image", &format!("application/vnd.{number}"), &image.manifest).await?;
        expected.push(Digest::sha256_of(&artifact));
    }
    expected.sort_unstable();
    for client in [&client, &Client::of_another_process(&ctx).await?] {
        for limit in 1..9 {
            let query = ReferrersQuery { limit, ..ReferrersQuery::default() };
            let (listed, pages) = in_pages(client, &image.digest(), query).await?;
            equal(&listed, &expected, format_args!("the referrers in pages of {limit}"))?;
            equal(pages, expected.len().div_ceil(limit), format_args!("the number of pages of {limit}"))?;
        }
        let query = ReferrersQuery { limit: 0, ..ReferrersQuery::default() };
        let none = client.repository("image").referrers().list(&image.digest(), &query).await?;
        equal(none, ReferrersPage::default(), "a page of none")?;
        // A page may begin after a digest that does not exist, or of another algorithm than the stored ones.
        let first = &expected[0];
        let before =
            format!("sha256:{}{}", &first.hex()[..63], if first.hex().ends_with('0') { "1" } else { "0" });
        let last = Digest::of(Algorithm::Sha512, b"");
        for (after, count) in
            [(before.parse()?, expected.iter().filter(|d| d.to_string() > before).count()), (last, 0)]
        {
            let query = ReferrersQuery { after: Some(after), ..ReferrersQuery::default() };
            let page = client.repository("image").referrers().list(&image.digest(), &query).await?;
            equal(page.descriptors.len(), count, "the number of those that come after")?;
        }
    }
    Ok(())
}

/// No page is longer than requested, except one with a single long descriptor.
async fn come_in_pages_of_bytes(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut attached = Vec::new();
    for length in [10, 900, 10, 10, 60_000, 10] {
        let kind = format!("application/{}{}", "x".repeat(length), attached.len());
        let artifact = client.attach("image", &kind, &image.manifest).await?;
        attached.push(Digest::sha256_of(&artifact));
    }
    for client in [&client, &Client::of_another_process(&ctx).await?] {
        for max_bytes in [0, 1, 700, 2_000, 62_000, usize::MAX] {
            let mut query = ReferrersQuery { max_bytes, ..ReferrersQuery::default() };
            let mut listed = 0;
            for _ in 0..100 {
                let page = client.repository("image").referrers().list(&image.digest(), &query).await?;
                let bytes: usize = page.descriptors.iter().map(|referrer| referrer.json().len() + 1).sum();
                let fits = bytes <= max_bytes || page.descriptors.len() == 1;
                ensure(fits, format_args!("a page of {max_bytes} bytes has {bytes}"))?;
                listed += page.descriptors.len();
                query.after = page.descriptors.last().map(|referrer| referrer.digest.clone());
                if !page.has_more {
                    break;
                }
            }
            equal(
                listed,
                attached.len(),
                format_args!("the number of referrers in pages of {max_bytes} bytes"),
            )?;
        }
    }
    Ok(())
}

/// Otherwise a page could be empty although more referrers follow.
async fn a_type_is_chosen_before_a_page_is_cut(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut wanted = Vec::new();
    for number in 0..40 {
        let kind = if number % 10 == 3 { "application/vnd.a+json" } else { "application/vnd.b" };
        let subject = String::from_utf8(artifact(kind, &image.manifest).to_vec())?;
        let text =
            subject.replacen("\"layers\"", &format!("\"annotations\":{{\"n\":\"{number}\"}},\"layers\""), 1);
        let bytes = Bytes::from(text);
        client.push_blob("image", &Bytes::from_static(EMPTY_JSON)).await?;
        client.push_manifest("image", &bytes, Digest::sha256_of(&bytes), &[]).await?;
        if number % 10 == 3 {
            wanted.push(Digest::sha256_of(&bytes));
        }
    }
    wanted.sort_unstable();
    for client in [&client, &Client::of_another_process(&ctx).await?] {
        for limit in [1, 2, 3, 4, 5] {
            let artifact_type = Some("application/vnd.a+json".to_owned());
            let query = ReferrersQuery { limit, artifact_type, ..ReferrersQuery::default() };
            let (listed, pages) = in_pages(client, &image.digest(), query).await?;
            equal(&listed, &wanted, "those of the type")?;
            equal(pages, wanted.len().div_ceil(limit), "the number of pages")?;
        }
    }
    Ok(())
}

/// Every list of the subject would carry its annotations and artifact type.
async fn one_that_lists_cannot_carry_is_refused(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_blob("image", &Bytes::from_static(EMPTY_JSON)).await?;
    let fixed = "application/x".len() + "key".len();
    for (length, is_taken) in [(MAX_LISTED_BYTES - fixed, true), (MAX_LISTED_BYTES - fixed + 1, false)] {
        let text = String::from_utf8(artifact("application/x", &image.manifest).to_vec())?;
        let annotations = format!("\"annotations\":{{\"key\":\"{}\"}},\"layers\"", "v".repeat(length));
        let bytes = Bytes::from(text.replacen("\"layers\"", &annotations, 1));
        let put = client.push_manifest("image", &bytes, Digest::sha256_of(&bytes), &[]).await;
        match (put, is_taken) {
            (Ok(_), true) => lists(&ctx, &client, &image, &[&bytes]).await?,
            (Err(Error::ManifestInvalid(problem)), false) => {
                let said = problem.to_string();
                let names = said.contains("65537") && said.contains("65536") && said.contains("annotations");
                ensure(names, format_args!("the refusal does not say what is too long: {said}"))?;
            }
            (put, _) => return Err(Failed::new(format_args!("{length} bytes: {put:?}"))),
        }
        // Without a subject, no list carries it.
        let alone = Bytes::from(String::from_utf8(bytes.to_vec())?.replacen(
            "\"subject\"",
            "\"com.example.subject\"",
            1,
        ));
        client.push_manifest("image", &alone, Digest::sha256_of(&alone), &[]).await?;
    }
    is_valid(ctx.driver()).await
}

/// All referrers, page by page, and the number of pages.
async fn in_pages(
    client: &Client,
    subject: &Digest,
    mut query: ReferrersQuery,
) -> Result<(Vec<Digest>, usize), Failed> {
    let (mut listed, mut pages) = (Vec::new(), 0);
    loop {
        let page = client.repository("image").referrers().list(subject, &query).await?;
        ensure(page.descriptors.len() <= query.limit, "a page has more than was asked for")?;
        listed.extend(page.descriptors.into_iter().map(|referrer| referrer.digest));
        pages += 1;
        if !page.has_more {
            return Ok((listed, pages));
        }
        ensure(pages < 100, "the pages come to no end")?;
        query.after = listed.last().cloned();
    }
}

pub(super) async fn attach_some(
    client: &Client,
    image: &Image,
    count: usize,
) -> Result<BTreeSet<Digest>, Failed> {
    let mut attached = BTreeSet::new();
    let empty = Bytes::from_static(EMPTY_JSON);
    client.put_blob("image", &empty, &Digest::sha256_of(&empty)).await?;
    for number in 0..count {
        let artifact = artifact(&format!("application/vnd.{number}"), &image.manifest);
        let digest = Digest::sha256_of(&artifact);
        client.push_manifest("image", &artifact, digest.clone(), &[]).await?;
        attached.insert(digest);
    }
    Ok(attached)
}

pub(super) async fn listed(client: &Client, image: &Image) -> Result<BTreeSet<Digest>, Failed> {
    let found = client.referrers("image", &image.digest()).await?;
    let digests: Vec<Digest> = found.into_iter().map(|descriptor| descriptor.digest).collect();
    ensure(digests.is_sorted_by(|a, b| a < b), "the referrers are not in order")?;
    Ok(digests.into_iter().collect())
}

pub(super) async fn paths(ctx: &Context) -> Result<BTreeSet<DriverPath>, Failed> {
    Ok(walk(ctx.driver()).await?.into_iter().map(|file| file.path).collect())
}

async fn attach(client: &Client, kind: &str, image: &Image) -> Result<Bytes, Failed> {
    let artifact = artifact(kind, &image.manifest);
    client.push_blob("image", &Bytes::from_static(EMPTY_JSON)).await?;
    let put = client.push_manifest("image", &artifact, Digest::sha256_of(&artifact), &[]).await?;
    equal(put.subject, Some(image.digest()), "the subject of the answer")?;
    Ok(artifact)
}

/// Checks that exactly these are listed, by the process that pushed them and by a new one.
async fn lists(ctx: &Context, client: &Client, image: &Image, artifacts: &[&Bytes]) -> Result<(), Failed> {
    let mut expected: Vec<Digest> = artifacts.iter().map(|artifact| Digest::sha256_of(artifact)).collect();
    expected.sort_unstable();
    for client in [client, &Client::of_another_process(ctx).await?] {
        let listed = client.referrers("image", &image.digest()).await?;
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
    come_in_order_and_in_pages,
    come_in_pages_of_bytes,
    a_type_is_chosen_before_a_page_is_cut,
    one_that_lists_cannot_carry_is_refused,
};
