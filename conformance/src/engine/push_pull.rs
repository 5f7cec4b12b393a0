//! Pulls return exactly the pushed content.

use bytes::Bytes;
use sampan_driver::ByteRange;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_engine::{Error, StartUpload};

use super::client::{Client, INDEX, Image, body, broken_body, index, name, tag, walk};
use super::store::{has_no_uploads, is_valid};
use crate::check::{ensure, equal, same_bytes};
use crate::data::bytes;
use crate::{Clause, Context, Failed, clause::table};

async fn a_blob_comes_back_as_it_was_pushed(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    for (seed, size) in [0, 1, 1_000, 3 << 20].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        let digest = client.push_blob("library/image", &content).await?;
        let info = client.repository("library/image").blobs().stat_and_lease(&digest).await?;
        equal(info.size_bytes, size as u64, "the size of the blob")?;
        same_bytes(&client.pull_blob("library/image", &digest).await?, &content, "the blob")?;
        let part = ByteRange::new(size as u64 / 4, size as u64 / 2);
        let (_, reader) = client.repository("library/image").blobs().read(&digest, part).await?;
        let part = &content[size / 4..size / 4 + size / 2];
        same_bytes(&crate::context::drain(reader).await?, part, "a range of the blob")?;
    }
    has_no_uploads(ctx.driver()).await?;
    is_valid(ctx.driver()).await
}

async fn a_blob_may_come_in_one_request(ctx: Context) -> Result<(), Failed> {
    let (client, uploads) =
        (Client::new(ctx.driver()), Client::new(ctx.driver()).repository("image").uploads());
    for (seed, size) in [0, 1, 100_000].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        let digest = Digest::sha256_of(&content);
        match seed % 2 {
            0 => client.put_blob("image", &content, &digest).await?,
            _ => uploads.put(&digest, None, body([content.clone()])).await?,
        };
        same_bytes(&client.pull_blob("image", &digest).await?, &content, "the blob")?;
    }
    has_no_uploads(ctx.driver()).await
}

async fn a_wrong_digest_publishes_nothing(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (blobs, uploads) = (client.repository("image").blobs(), client.repository("image").uploads());
    let (content, expected) = (bytes(1, 10_000), Digest::sha256_of(b"something else"));
    let put = client.put_blob("image", &content, &expected).await;
    ensure(
        matches!(put, Err(Error::DigestMismatch { .. })),
        format_args!("a wrong digest was answered by {put:?}"),
    )?;
    let id = uploads.start(StartUpload::default()).await?.id;
    uploads.append(&id, None, body([content.slice(..5_000)])).await?;
    let finished = uploads.finish(&id, None, body([content.slice(5_000..)]), &expected).await;
    ensure(
        matches!(finished, Err(Error::DigestMismatch { .. })),
        format_args!("a wrong digest was answered by {finished:?}"),
    )?;
    for digest in [&expected, &Digest::sha256_of(&content)] {
        let stat = blobs.stat_and_lease(digest).await;
        ensure(matches!(stat, Err(Error::BlobUnknown(..))), format_args!("the blob {digest} is there"))?;
    }
    equal(walk(ctx.driver()).await?.len(), 0, "the number of files left")
}

async fn a_broken_body_publishes_nothing(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let uploads = client.repository("image").uploads();
    let content = bytes(1, 10_000);
    let digest = Digest::sha256_of(&content);
    let short = uploads.put(&digest, Some(20_000), body([content.clone()])).await;
    ensure(
        matches!(short, Err(Error::SizeMismatch { .. })),
        format_args!("a short body was answered by {short:?}"),
    )?;
    let long = uploads.put(&digest, Some(9_999), body([content.clone()])).await;
    ensure(
        matches!(long, Err(Error::SizeMismatch { .. })),
        format_args!("a long body was answered by {long:?}"),
    )?;
    let broken = uploads.put(&digest, Some(10_000), broken_body(content.slice(..9_000))).await;
    ensure(
        matches!(broken, Err(Error::BodyBroken(_))),
        format_args!("a broken body was answered by {broken:?}"),
    )?;
    equal(walk(ctx.driver()).await?.len(), 0, "the number of files left")
}

async fn what_is_pushed_twice_is_stored_once(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 50_000));
    let digest = client.push_blob("first", &content).await?;
    client.push_blob("second/repository", &content).await?;
    client.put_blob("first", &content, &digest).await?;
    let is_data = |info: &&sampan_driver::FileInfo| matches!(Entry::parse(&info.path), Some(Entry::Blob(_)));
    equal(walk(ctx.driver()).await?.iter().filter(is_data).count(), 1, "the number of copies")?;
    for repository in ["first", "second/repository"] {
        same_bytes(&client.pull_blob(repository, &digest).await?, &content, "the blob")?;
    }
    has_no_uploads(ctx.driver()).await
}

async fn a_blob_is_seen_in_its_repository_alone(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 1_000));
    let digest = client.push_blob("a/b", &content).await?;
    for other in ["a", "a/b/c", "a/c", "a-b", "b"] {
        let stat = client.repository(other).blobs().stat_and_lease(&digest).await;
        ensure(
            matches!(stat, Err(Error::BlobUnknown(..))),
            format_args!("the blob of a/b is seen in {other}"),
        )?;
    }
    Ok(())
}

async fn an_image_comes_back_verbatim(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    for seed in 0..3 {
        let image = Image::new(seed);
        client.push_image("library/image", &image, "latest").await?;
        for client in [&client, &Client::of_another_process(&ctx).await?] {
            client.pulls("library/image", &image, tag("latest")).await?;
            client.pulls("library/image", &image, image.digest()).await?;
            let stat = client.repository("library/image").manifests().stat(&tag("latest").into()).await?;
            let told = (stat.digest, stat.media_type, stat.size_bytes);
            equal(
                told,
                (
                    image.digest(),
                    sampan_engine::oci::ManifestKind::OciManifest.into(),
                    image.manifest.len() as u64,
                ),
                "the answer about the manifest",
            )?;
        }
    }
    is_valid(ctx.driver()).await
}

async fn everything_missing_is_listed(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut missing: Vec<Digest> = image.blobs().map(|blob| Digest::sha256_of(blob)).collect();
    // A copy in another repository does not count.
    client.push_blob("other", &image.config).await?;
    for blob in image.blobs() {
        missing.sort_unstable();
        match client.push_manifest("image", &image.manifest, tag("latest"), &[]).await {
            Err(Error::ManifestReferencesUnknown(mut listed)) => {
                listed.sort_unstable();
                equal(&listed, &missing, "what is missing")?;
            }
            other => {
                return Err(Failed::new(format_args!(
                    "a manifest without its blobs was answered by {other:?}"
                )));
            }
        }
        let pushed = client.push_blob("image", blob).await?;
        missing.retain(|digest| *digest != pushed);
        is_valid(ctx.driver()).await?;
    }
    client.push_manifest("image", &image.manifest, tag("latest"), &[]).await?;
    client.pulls("image", &image, tag("latest")).await
}

async fn an_index_needs_its_children(ctx: Context) -> Result<(), Failed> {
    let (client, first, second) = (Client::new(ctx.driver()), Image::new(1), Image::new(2));
    let index = index(&[&first, &second]);
    client.push_image("image", &first, "first").await?;
    client.push_image("other", &second, "second").await?;
    match client.push_manifest("image", &index, tag("all"), &[]).await {
        Err(Error::ManifestReferencesUnknown(missing)) => {
            equal(missing, [second.digest()], "what is missing")?;
        }
        other => return Err(Failed::new(format_args!("an index without a child was answered by {other:?}"))),
    }
    client.push_image("image", &second, "second").await?;
    client.push_manifest("image", &index, tag("all"), &[]).await?;
    let stored = client.repository("image").manifests().get(&tag("all").into()).await?;
    same_bytes(&stored.bytes, &index, "the index")?;
    is_valid(ctx.driver()).await
}

async fn another_algorithm_is_an_alias(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let content = bytes(7, 10_000);
        let (alias, canonical) = (Digest::of(algorithm, &content), Digest::sha256_of(&content));
        let info = client.put_blob("image", &content, &alias).await?;
        equal((info.digest, info.canonical), (alias.clone(), canonical.clone()), "the digests of the blob")?;
        for digest in [&alias, &canonical] {
            same_bytes(
                &client.pull_blob("image", digest).await?,
                &content,
                format_args!("the blob {digest}"),
            )?;
        }
        let alias = Digest::of(algorithm, &image.manifest);
        let put = client.push_manifest("image", &image.manifest, alias.clone(), &[]).await?;
        equal(put.digest, alias.clone(), "the digest of the manifest")?;
        for client in [&client, &Client::of_another_process(&ctx).await?] {
            client.pulls("image", &image, alias.clone()).await?;
        }
    }
    is_valid(ctx.driver()).await
}

async fn a_manifest_must_be_what_its_digest_says(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    let before = walk(ctx.driver()).await?;
    let put = client.push_manifest("image", &image.manifest, Image::new(2).digest(), &[]).await;
    ensure(
        matches!(put, Err(Error::DigestMismatch { .. })),
        format_args!("a wrong digest was answered by {put:?}"),
    )?;
    let put = client.push_manifest("image", &Bytes::from_static(b"{}"), tag("latest"), &[]).await;
    ensure(
        matches!(put, Err(Error::ManifestInvalid(_))),
        format_args!("no manifest was answered by {put:?}"),
    )?;
    equal(walk(ctx.driver()).await?, before, "the files of the store")
}

/// Clients written in Go read such a key as the other one, so the manifest would mean something else to them.
async fn keys_in_other_letters_are_refused(ctx: Context) -> Result<(), Failed> {
    let (client, image, other) = (Client::new(ctx.driver()), Image::new(1), Image::new(2));
    client.put_blobs("image", &image).await?;
    let text = std::str::from_utf8(&image.manifest)?;
    let index = index(&[&other]);
    let index = std::str::from_utf8(&index)?;
    let missing = format!(r#"{{"digest":"{}","size":1}}"#, Digest::sha256_of(b"in no store"));
    for manifest in [
        text.replacen('{', &format!(r#"{{"Layers":[{missing}],"#), 1),
        text.replacen('{', &format!(r#"{{"layer\u017f":[{missing}],"#), 1),
        text.replacen('{', r#"{"Manifests":[],"#, 1),
        text.replacen('{', &format!(r#"{{"MediaType":"{INDEX}","#), 1),
        text.replacen("[{", r#"[{"URLs":["http://169.254.169.254/"],"#, 1),
        text.replacen("\"digest\"", "\"Digest\"", 1),
        index.replacen("[{", r#"[{"platform":{"OS":"linux"},"#, 1),
    ] {
        let manifest = Bytes::from(manifest);
        let put = client.push_manifest("image", &manifest, tag("latest"), &[]).await;
        let told = match put {
            Err(Error::ManifestInvalid(problem)) => problem.to_string(),
            put => return Err(Failed::new(format_args!("{manifest:?} was answered by {put:?}"))),
        };
        ensure(told.contains("to some clients"), format_args!("{manifest:?} is refused since {told}"))?;
        let got = client.repository("image").manifests().get(&Digest::sha256_of(&manifest).into()).await;
        ensure(matches!(got, Err(Error::ManifestUnknown(..))), format_args!("it was answered by {got:?}"))?;
    }
    client.push_manifest("image", &image.manifest, tag("latest"), &[]).await?;
    client.pulls("image", &image, tag("latest")).await
}

/// The files are byte for byte those of Distribution.
async fn the_layout_is_that_of_distribution(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("a/b", &image, "v1").await?;
    let repository = "/docker/registry/v2/repositories/a/b";
    let mut expected = Vec::new();
    for content in image.blobs().chain([&image.manifest]) {
        let digest = Digest::sha256_of(content);
        let hex = digest.hex();
        expected.push(format!("/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
        expected.push(match content == &image.manifest {
            true => format!("{repository}/_manifests/revisions/sha256/{hex}/link"),
            false => format!("{repository}/_layers/sha256/{hex}/link"),
        });
    }
    let hex = image.digest().hex().to_owned();
    expected.push(format!("{repository}/_manifests/tags/v1/current/link"));
    expected.push(format!("{repository}/_manifests/tags/v1/index/sha256/{hex}/link"));
    expected.sort_unstable();
    equal(ctx.walk("/", None).await?, expected, "the files of the store")?;
    let link = ctx.get(&format!("{repository}/_manifests/tags/v1/current/link")).await?;
    same_bytes(&link, image.digest().to_string().as_bytes(), "the content of the tag")
}

async fn nothing_is_known_of_what_was_never_pushed(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let digest = Digest::sha256_of(b"never pushed");
    let blob = client.repository("image").blobs().stat_and_lease(&digest).await;
    ensure(
        matches!(blob, Err(Error::BlobUnknown(..))),
        format_args!("a missing blob was answered by {blob:?}"),
    )?;
    for reference in [Reference::Digest(digest), tag("latest").into()] {
        let manifest = client.repository("image").manifests().get(&reference).await;
        let unknown = matches!(manifest, Err(Error::ManifestUnknown(..)));
        ensure(unknown, format_args!("the missing manifest {reference} was answered by {manifest:?}"))?;
    }
    let tags = client.repository("image").tags().list(None, None).await;
    let unknown = matches!(&tags, Err(Error::RepositoryUnknown(unknown)) if *unknown == name("image"));
    ensure(unknown, format_args!("the tags of a missing repository were answered by {tags:?}"))
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::push_pull":
    a_blob_comes_back_as_it_was_pushed,
    a_blob_may_come_in_one_request,
    a_wrong_digest_publishes_nothing,
    a_broken_body_publishes_nothing,
    what_is_pushed_twice_is_stored_once,
    a_blob_is_seen_in_its_repository_alone,
    an_image_comes_back_verbatim,
    everything_missing_is_listed,
    an_index_needs_its_children,
    another_algorithm_is_an_alias,
    a_manifest_must_be_what_its_digest_says,
    keys_in_other_letters_are_refused,
    the_layout_is_that_of_distribution,
    nothing_is_known_of_what_was_never_pushed,
};
