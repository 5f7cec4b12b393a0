//! Two registries over one store that work on the same upload, as behind a load balancer without sticky sessions.
//!
//! Either may fail, in a way that depends on the store. After a success, the registry must serve the content as it was
//! pushed.

use bytes::Bytes;
use futures::channel::oneshot;
use futures::{FutureExt, StreamExt, stream};
use sampan_driver::ErrorKind;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Body, Error, StartUpload, UploadId};

use super::client::{Client, body, range};
use super::store::is_valid;
use crate::check::{ensure, equal, same_bytes};
use crate::data::bytes;
use crate::{Clause, Context, Failed, clause::table};

/// One registry knows the hash of an upload that another has lost and begun again with other bytes of the same length.
async fn a_hash_does_not_outlive_its_bytes(ctx: Context) -> Result<(), Failed> {
    for restarts in [false, true] {
        let (good, evil) = (bytes(1, 3 << 20), bytes(2, 3 << 20));
        let digest = Digest::sha256_of(&good);
        let (half, len) = (good.len() / 2, good.len());
        let (mut one, mut two) = (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?);
        let id = begin(&one).await?;
        append(&one, &id, 0, good.slice(..half)).await?;

        // The second registry has opened the upload; while its client is slow, the first continues.
        let ((begun, has_begun), (release, held)) = (oneshot::channel(), oneshot::channel());
        let slow = held_body(begun, evil.slice(half..half + 1000), held, evil.slice(half + 1000..));
        let uploads = two.repository("image").uploads();
        let (second, slow_id) = (uploads.clone(), id.clone());
        let slow = tokio::spawn(async move { second.append(&slow_id, None, slow).await });
        _ = has_begun.await; // An error means that the append failed.
        _ = append(&one, &id, half, good.slice(half..)).await;
        _ = release.send(());
        _ = slow.await?;
        _ = uploads.finish(&id, None, body([]), &digest).await;

        // The second life of the upload, if it has one.
        _ = append(&two, &id, 0, evil.slice(..500_000)).await;
        _ = append(&two, &id, 500_000, evil.slice(500_000..)).await;
        if restarts {
            one = Client::of_another_process(&ctx).await?;
            two = Client::of_another_process(&ctx).await?;
        }
        for client in [&one, &two] {
            let finished = client.repository("image").uploads().finish(&id, None, body([]), &digest).await;
            if finished.is_ok() {
                same_bytes(&one.pull_blob("image", &digest).await?, &good, "the blob")?;
            }
        }
        ensure(len > half, "the content is cut in two")?;
        is_valid(ctx.driver()).await?;
        // Whatever the result, the blob can be pushed.
        one.push_blob("image", &good).await?;
        same_bytes(&two.pull_blob("image", &digest).await?, &good, "the blob that was pushed again")?;
        ctx.delete_tree("/").await?;
    }
    Ok(())
}

/// Both finish one upload, each with its own last chunk, by a digest whose hash was not running.
async fn of_two_ends_each_publishes_what_it_hashed(ctx: Context) -> Result<(), Failed> {
    for round in 0..ctx.scale(20, 100) {
        let size = if round % 4 == 3 { 1 << 20 } else { 200 };
        for algorithm in [Algorithm::Sha512, Algorithm::Sha256] {
            let first = bytes(round, size);
            let lasts = [bytes(1000 + round, 300), bytes(2000 + round, 300)];
            let clients = [Client::new(ctx.driver()), Client::of_another_process(&ctx).await?];
            let id = begin(&clients[0]).await?;
            append(&clients[0], &id, 0, first.clone()).await?;
            let ends = clients.clone().into_iter().zip(lasts).map(|(client, last)| {
                let whole = Bytes::from([&first[..], &last].concat());
                let (id, digest) = (id.clone(), Digest::of(algorithm, &whole));
                let chunk = range(first.len(), whole.len());
                tokio::spawn(async move {
                    let uploads = client.repository("image").uploads();
                    (uploads.finish(&id, chunk, body([last]), &digest).await, digest, whole)
                })
            });
            let ends: Vec<_> = ends.collect();
            for end in ends {
                let (finished, digest, whole) = end.await?;
                if finished.is_ok() {
                    same_bytes(&clients[0].pull_blob("image", &digest).await?, &whole, "the blob")?;
                }
            }
            is_valid(ctx.driver()).await?;
        }
    }
    Ok(())
}

/// While one registry receives a chunk, another may find the upload busy. That is no failure of the store.
async fn an_upload_that_another_registry_writes_is_no_failure_of_the_store(
    ctx: Context,
) -> Result<(), Failed> {
    let (one, two) = (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?);
    let (first, second) = (bytes(1, 1000), bytes(2, 1000));
    let id = begin(&one).await?;
    append(&one, &id, 0, first.clone()).await?;
    let uploads = two.repository("image").uploads();
    equal(uploads.status(&id).await?.size_bytes, 1000, "the bytes that the other registry finds")?;
    let ((begun, has_begun), (release, held)) = (oneshot::channel(), oneshot::channel());
    let slow = held_body(begun, second.slice(..500), held, second.slice(500..));
    let (writing, slow_id) = (one.repository("image").uploads(), id.clone());
    let slow = tokio::spawn(async move { writing.append(&slow_id, None, slow).await });
    has_begun.await?;
    let digest = Digest::sha256_of(&first);
    let answers = [
        ("a question", uploads.status(&id).await.map(drop)),
        ("a chunk", uploads.append(&id, None, body([second.clone()])).await.map(drop)),
        ("the end", uploads.finish(&id, None, body([]), &digest).await.map(drop)),
        ("a cancellation", uploads.cancel(&id).await),
    ];
    let _ = release.send(());
    let written = slow.await?;
    let is_busy = |answer: &Result<(), Error>| matches!(answer, Err(Error::UploadBusy(_)));
    for (what, answer) in &answers {
        let is_failure =
            matches!(answer, Err(Error::Driver(error)) if error.kind() == ErrorKind::Unavailable);
        ensure(!is_failure, format_args!("{what} was answered by {answer:?}"))?;
    }
    if answers.iter().all(|(_, answer)| is_busy(answer)) {
        equal(written?.size_bytes, 2000, "the bytes of the upload")?;
    }
    Ok(())
}

async fn begin(client: &Client) -> Result<UploadId, Failed> {
    Ok(client.repository("image").uploads().start(StartUpload::default()).await?.id)
}

async fn append(client: &Client, id: &UploadId, start: usize, chunk: Bytes) -> Result<(), Failed> {
    let chunk_range = range(start, start + chunk.len());
    client.repository("image").uploads().append(id, chunk_range, body([chunk])).await?;
    Ok(())
}

/// A body of two pieces; the second waits until it is released. It reports when the first is polled.
fn held_body(begun: oneshot::Sender<()>, first: Bytes, held: oneshot::Receiver<()>, second: Bytes) -> Body {
    let first = async move {
        _ = begun.send(());
        Ok(first)
    };
    let second = held.map(move |_| Ok(second)).into_stream();
    stream::once(first).chain(second).boxed()
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::two_registries":
    a_hash_does_not_outlive_its_bytes,
    of_two_ends_each_publishes_what_it_hashed,
    an_upload_that_another_registry_writes_is_no_failure_of_the_store,
};
