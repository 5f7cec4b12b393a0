//! Uploads interrupted by clients, by crashes and by one another.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Error, PurgeOptions, StartUpload, UploadId};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use super::client::{Client, body, broken_body, name, range};
use super::store::{has_no_uploads, is_valid};
use crate::check::{ensure, equal, same_bytes};
use crate::data::bytes;
use crate::{Clause, Context, Failed, clause::table};

/// Every chunk reaches another process.
async fn an_upload_goes_on_in_a_new_process(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in [30_000, 6 << 20].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        let id =
            Client::new(ctx.driver()).repository("image").uploads().start(StartUpload::default()).await?.id;
        for part in 0..3 {
            let (start, end) = (size / 4 * part, size / 4 * (part + 1));
            let uploads = Client::of_another_process(&ctx).await?.repository("image").uploads();
            equal(uploads.status(&id).await?.size_bytes, start as u64, "the size after a restart")?;
            let status = uploads.append(&id, range(start, end), body([content.slice(start..end)])).await?;
            equal(status.size_bytes, end as u64, "the size after a chunk")?;
        }
        let client = Client::of_another_process(&ctx).await?;
        let digest = client.resume("image", &id, &content).await?;
        same_bytes(&client.pull_blob("image", &digest).await?, &content, "the blob")?;
    }
    has_no_uploads(ctx.driver()).await?;
    is_valid(ctx.driver()).await
}

async fn an_upload_goes_on_without_its_hash_state(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 6 << 20);
    let half = content.len() / 2;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let uploads = Client::new(ctx.driver()).repository("image").uploads();
        let id = uploads.start(StartUpload { algorithm: Some(algorithm) }).await?.id;
        uploads.append(&id, None, body([content.slice(..half)])).await?;
        forget_note(&ctx, &id).await?;
        let (client, digest) = (Client::of_another_process(&ctx).await?, Digest::of(algorithm, &content));
        let rest = body([content.slice(half..)]);
        client.repository("image").uploads().finish(&id, range(half, content.len()), rest, &digest).await?;
        same_bytes(&client.pull_blob("image", &digest).await?, &content, "the blob")?;
    }
    has_no_uploads(ctx.driver()).await?;
    is_valid(ctx.driver()).await
}

/// The registry recomputes a missing hash, and does not trust the client instead.
async fn a_wrong_digest_is_found_out_without_the_hash_state(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 100_000);
    let id = Client::new(ctx.driver()).repository("image").uploads().start(StartUpload::default()).await?.id;
    Client::new(ctx.driver())
        .repository("image")
        .uploads()
        .append(&id, None, body([content.clone()]))
        .await?;
    forget_note(&ctx, &id).await?;
    let client = Client::of_another_process(&ctx).await?;
    let wrong = Digest::sha256_of(b"something else");
    let finished = client.repository("image").uploads().finish(&id, None, body([]), &wrong).await;
    // Another process may have received more than the client knows of, so the client must start over.
    ensure(
        matches!(finished, Err(Error::UploadUnknown(_))),
        format_args!("a wrong digest was answered by {finished:?}"),
    )?;
    for digest in [wrong, Digest::sha256_of(&content)] {
        let stat = client.repository("image").blobs().stat_and_lease(&digest).await;
        ensure(matches!(stat, Err(Error::BlobUnknown(..))), format_args!("the blob {digest} is there"))?;
    }
    is_valid(ctx.driver()).await
}

async fn a_broken_body_keeps_what_came(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 100_000));
    let uploads = client.repository("image").uploads();
    let id = uploads.start(StartUpload::default()).await?.id;
    let broken = uploads.append(&id, range(0, 100_000), broken_body(content.slice(..60_000))).await;
    ensure(
        matches!(broken, Err(Error::BodyBroken(_))),
        format_args!("a broken body was answered by {broken:?}"),
    )?;
    equal(uploads.status(&id).await?.size_bytes, 60_000, "what came of the broken body")?;
    let broken = uploads.append(&id, None, broken_body(content.slice(60_000..70_000))).await;
    ensure(
        matches!(broken, Err(Error::BodyBroken(_))),
        format_args!("a broken body was answered by {broken:?}"),
    )?;
    let digest = client.resume("image", &id, &content).await?;
    same_bytes(&client.pull_blob("image", &digest).await?, &content, "the blob")
}

async fn a_chunk_out_of_order_changes_nothing(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 3_000));
    let uploads = client.repository("image").uploads();
    let id = uploads.start(StartUpload::default()).await?.id;
    uploads.append(&id, range(0, 1_000), body([content.slice(..1_000)])).await?;
    for (start, end) in [(0, 1_000), (999, 1_999), (1_001, 2_001), (2_000, 3_000)] {
        match uploads.append(&id, range(start, end), body([content.slice(start..end)])).await {
            Err(Error::UploadOutOfOrder { expected, got }) => {
                equal((expected, got), (1_000, start as u64), "the answer about the chunk")?;
            }
            other => return Err(Failed::new(format_args!("a chunk from {start} was answered by {other:?}"))),
        }
        equal(uploads.status(&id).await?.size_bytes, 1_000, "the size afterwards")?;
    }
    let digest = client.resume("image", &id, &content).await?;
    same_bytes(&client.pull_blob("image", &digest).await?, &content, "the blob")
}

/// Several requests send the same chunk at once; one succeeds, and the upload is as if the others had never come.
async fn of_concurrent_chunks_one_is_taken(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 2 << 20));
    let (uploads, half) = (client.repository("image").uploads(), 1 << 20);
    for _ in 0..5 {
        let id = uploads.start(StartUpload::default()).await?.id;
        let sends = (0..4).map(|_| {
            let (uploads, id, chunk) = (uploads.clone(), id.clone(), content.slice(..half));
            tokio::spawn(async move { uploads.append(&id, range(0, half), body([chunk])).await })
        });
        let mut taken = 0;
        for answer in join_all(sends).await {
            match answer? {
                Ok(status) => {
                    equal(status.size_bytes, half as u64, "the size after the chunk")?;
                    taken += 1;
                }
                Err(Error::UploadBusy(_) | Error::UploadOutOfOrder { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        equal(taken, 1, "how many of four equal chunks were taken")?;
        let digest = client.resume("image", &id, &content).await?;
        same_bytes(&client.pull_blob("image", &digest).await?, &content, "the blob")?;
    }
    Ok(())
}

async fn cancel_leaves_nothing(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let uploads = client.repository("image").uploads();
    for size in [0, 100, 3 << 20] {
        let id = uploads.start(StartUpload::default()).await?.id;
        if size > 0 {
            uploads.append(&id, None, body([bytes(1, size)])).await?;
        }
        uploads.cancel(&id).await?;
        is_unknown(&client, &id).await?;
        equal(ctx.walk("/", None).await?, [""; 0], "the files left")?;
    }
    Ok(())
}

/// Whatever remains of them. An upload that one process cancels while another writes it loses its `startedat`, and in some
/// stores a walk shows none of its files either.
async fn uploads_that_were_given_up_are_purged(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let uploads = client.repository("image").uploads();
    let mut left = Vec::new();
    for (size, has_beginning) in [(0, true), (100, true), (100, false), (3 << 20, false)] {
        let id = uploads.start(StartUpload::default()).await?.id;
        if size > 0 {
            uploads.append(&id, None, body([bytes(1, size)])).await?;
        }
        if !has_beginning {
            ctx.driver().delete(&Entry::UploadStartedAt(name("image"), id.clone()).path()).await?;
        }
        left.push((id, size));
    }
    // A store need not show staged files at all.
    let entries = ctx.driver().list(&layout::uploads(&name("image")), None);
    let shown: Vec<String> = entries.map_ok(|entry| entry.name().to_owned()).try_collect().await?;
    left.retain(|(id, _)| shown.iter().any(|name| name == id.as_str()));
    ensure(left.len() >= 2, format_args!("of four uploads {left:?} are listed"))?;
    let all = left.len() as u64;
    let another = Client::of_another_process(&ctx).await?;
    let purge = async |older_than: SystemTime| {
        another.registry.purge_uploads(&PurgeOptions { older_than, dry_run: false }).await
    };
    let report = purge(SystemTime::now() - HOUR).await?;
    equal((report.examined, report.purged, report.failed), (all, 0, 0), "what was seen and purged at once")?;
    for (id, size) in &left {
        let found = another.repository("image").uploads().status(id).await?.size_bytes;
        equal(found, *size as u64, "the size of an upload that was not purged")?;
    }
    let report = purge(SystemTime::now() + HOUR).await?;
    equal(
        (report.examined, report.purged, report.failed),
        (all, all, 0),
        "what was seen and purged in time",
    )?;
    for (id, _) in &left {
        is_unknown(&another, id).await?;
    }
    let mut entries = ctx.driver().list(&layout::uploads(&name("image")), None);
    equal(entries.try_next().await?, None, "what is left of the uploads")
}

async fn an_upload_is_over_when_it_is_finished(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 10_000));
    let uploads = client.repository("image").uploads();
    let id = uploads.start(StartUpload::default()).await?.id;
    uploads.finish(&id, None, body([content.clone()]), &Digest::sha256_of(&content)).await?;
    is_unknown(&client, &id).await?;
    is_unknown(&client, &UploadId::random()).await
}

/// The bytes are gone but `startedat` is not, as after a power failure or by a lifecycle rule of a bucket.
async fn a_lost_upload_stays_lost(ctx: Context) -> Result<(), Failed> {
    for size in [1_000, 6 << 20] {
        let content = bytes(1, size);
        let digest = Digest::sha256_of(&content);
        let begun = Client::new(ctx.driver()).repository("image").uploads();
        let id = begun.start(StartUpload::default()).await?.id;
        begun.append(&id, None, body([content.clone()])).await?;
        ctx.driver().delete_tree(&Entry::UploadData(name("image"), id.clone()).path()).await?;
        let client = Client::of_another_process(&ctx).await?;
        let uploads = client.repository("image").uploads();
        let finished = uploads.finish(&id, None, body([]), &digest).await;
        ensure(
            matches!(finished, Err(Error::UploadUnknown(_))),
            format_args!("the end of an upload that was lost was answered by {finished:?}"),
        )?;
        is_unknown(&client, &id).await?;
        is_unknown(&Client::of_another_process(&ctx).await?, &id).await?;
        client.push_blob("image", &content).await?;
        has_no_uploads(ctx.driver()).await?;
    }
    is_valid(ctx.driver()).await
}

/// Distribution stores the running hash in a file. It may belong to other bytes than the present ones, and is deleted with
/// the upload.
async fn a_hash_state_that_lies_beside_an_upload_is_not_believed(ctx: Context) -> Result<(), Failed> {
    let (sent, there) = (bytes(1, 2 << 20), bytes(2, 2 << 20));
    for (content, is_right) in [(&there, false), (&sent, true)] {
        let id = UploadId::random();
        let started = Entry::UploadStartedAt(name("image"), id.clone()).path();
        ctx.put(started.as_str(), "2026-01-02T03:04:05Z").await?;
        ctx.stage(Entry::UploadData(name("image"), id.clone()).path().as_str(), content.clone()).await?;
        let state = Entry::UploadHashState(name("image"), id.clone(), Algorithm::Sha256, sent.len() as u64);
        ctx.put(state.path().as_str(), go_state(&sent)).await?;
        let client = Client::of_another_process(&ctx).await?;
        let uploads = client.repository("image").uploads();
        equal(uploads.status(&id).await?.size_bytes, sent.len() as u64, "the size of the upload")?;
        let finished = uploads.finish(&id, None, body([]), &Digest::sha256_of(&sent)).await;
        equal(finished.is_ok(), is_right, format_args!("whether the end is taken, which was {finished:?}"))?;
        is_valid(ctx.driver()).await?;
    }
    has_no_uploads(ctx.driver()).await
}

/// The form of Go's `sha256` after `content`, whose length is a multiple of the block length.
fn go_state(content: &[u8]) -> Vec<u8> {
    let native = Sha256::new_with_prefix(content).serialize();
    let mut state = b"sha\x03".to_vec();
    native[..32].chunks(4).for_each(|word| state.extend(word.iter().rev()));
    state.resize(state.len() + 64, 0);
    state.extend((content.len() as u64).to_be_bytes());
    state
}

/// Leaves an upload without a known running hash.
async fn forget_note(ctx: &Context, id: &UploadId) -> Result<(), Failed> {
    let writer = ctx.appender(Entry::UploadData(name("image"), id.clone()).path().as_str()).await?;
    writer.close(Bytes::new()).await?;
    Ok(())
}

async fn is_unknown(client: &Client, id: &UploadId) -> Result<(), Failed> {
    let uploads = client.repository("image").uploads();
    let digest = Digest::sha256_of(b"");
    let answers = [
        uploads.status(id).await.map(drop),
        uploads.append(id, None, body([])).await.map(drop),
        uploads.finish(id, None, body([]), &digest).await.map(drop),
        uploads.cancel(id).await,
        // An upload belongs to its repository.
        client.repository("other").uploads().status(id).await.map(drop),
    ];
    for answer in answers {
        ensure(
            matches!(answer, Err(Error::UploadUnknown(_))),
            format_args!("an unknown upload was answered by {answer:?}"),
        )?;
    }
    Ok(())
}

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) const CLAUSES: &[Clause] = table! { "engine::resume":
    an_upload_goes_on_in_a_new_process,
    an_upload_goes_on_without_its_hash_state,
    a_wrong_digest_is_found_out_without_the_hash_state,
    a_broken_body_keeps_what_came,
    a_chunk_out_of_order_changes_nothing,
    of_concurrent_chunks_one_is_taken,
    cancel_leaves_nothing,
    uploads_that_were_given_up_are_purged,
    an_upload_is_over_when_it_is_finished,
    a_lost_upload_stays_lost,
    a_hash_state_that_lies_beside_an_upload_is_not_believed,
};
