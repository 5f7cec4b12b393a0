//! Referrers with concurrent writers, and clients that disconnect.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::{Operation, StorageDriver};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;

use super::client::{Client, EMPTY_JSON, Image, artifact, name};
use super::hooks::{Counted, Interrupted};
use super::referrers::{attach_some, listed};
use super::store::indexes_are_complete;
use crate::check::{ensure, equal};
use crate::hooked::Hooked;
use crate::{Clause, Context, Failed, clause::table};

/// A client that disconnects does not discard the progress of the build.
async fn a_build_that_is_dropped_is_carried_on(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let count = 120;
    let expected = attach_some(&client, &image, count).await?;
    ctx.driver().delete_tree(&layout::referrers(&name("image"))).await?;
    let counted = Counted::default();
    let client = Client::new(&counted.over(ctx.driver()));
    let reads = || {
        counted.count(|operation, path| {
            operation == Operation::GetContent && matches!(Entry::parse(path), Some(Entry::Blob(_)))
        })
    };
    let mut rounds = 0;
    while reads() < count / 2 {
        counted.stop_after(30);
        let client = client.clone();
        let (subject, counted) = (image.digest(), counted.clone());
        tokio::select! {
            found = client.referrers("image", &subject) => { found?; }
            () = counted.stopped() => {}
        }
        rounds += 1;
        ensure(rounds < 100, "a build does not continue")?;
    }
    counted.stop_after(usize::MAX);
    equal(listed(&client, &image).await?, expected, "the referrers in the end")?;
    // The reads in flight when a client disconnected are repeated.
    let most = count + rounds * 16;
    ensure(
        reads() <= most,
        format_args!("{count} manifests were read {} times in {rounds} rounds", reads()),
    )?;
    indexes_are_complete(ctx.driver()).await
}

/// One client pushes what another deletes at the same moment: afterwards the listing has the artifact if and only if it
/// exists. Each request is interrupted by the whole other one, at each of its operations.
async fn a_push_beside_a_deletion_is_listed(ctx: Context) -> Result<(), Failed> {
    let image = Image::new(1);
    let bytes = artifact("application/vnd.signature", &image.manifest);
    let digest = Digest::sha256_of(&bytes);
    for is_push_interrupted in [true, false] {
        for moment in 1..200 {
            ctx.delete_tree("/").await?;
            let client = Client::new(ctx.driver());
            client.push_blob("image", &Bytes::from_static(EMPTY_JSON)).await?;
            client.push_manifest("image", &bytes, digest.clone(), &[]).await?;
            // The index is complete, so no listing builds it afterwards.
            equal(listed(&client, &image).await?.len(), 1, "the referrers at the beginning")?;
            let other = client.clone();
            let (reference, pushed) = (digest.clone(), bytes.clone());
            let interruption = async move {
                match is_push_interrupted {
                    true => _ = other.repository("image").manifests().delete(&reference.into()).await,
                    false => _ = other.push_manifest("image", &pushed, reference, &[]).await,
                }
            };
            let interrupted = Interrupted::new(moment, interruption);
            let slow = Client::new(&(Arc::new(Hooked::new(ctx.driver().clone(), interrupted.clone())) as _));
            match is_push_interrupted {
                true => _ = slow.push_manifest("image", &bytes, digest.clone(), &[]).await?,
                false => _ = slow.repository("image").manifests().delete(&digest.clone().into()).await,
            }
            let there = client.repository("image").manifests().get(&digest.clone().into()).await.is_ok();
            let expected: BTreeSet<_> = there.then(|| digest.clone()).into_iter().collect();
            let whose = if is_push_interrupted { "push" } else { "deletion" };
            equal(
                listed(&client, &image).await?,
                expected,
                format_args!("the referrers after a {whose} that was interrupted at operation {moment}"),
            )?;
            indexes_are_complete(ctx.driver()).await?;
            if !interrupted.has_come() {
                break;
            }
        }
    }
    Ok(())
}

/// Each replica lists what the other pushes and deletes.
async fn two_registries_list_the_same(ctx: Context) -> Result<(), Failed> {
    let (one, two, image) =
        (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?, Image::new(1));
    let mut expected = BTreeSet::new();
    for number in 0..6 {
        let (writer, reader) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let kind = format!("application/{number}");
        expected.insert(Digest::sha256_of(&writer.attach("image", &kind, &image.manifest).await?));
        equal(listed(reader, &image).await?, expected.clone(), "the referrers at the other registry")?;
        if number % 3 == 2
            && let Some(gone) = expected.pop_first()
        {
            reader.repository("image").manifests().delete(&gone.into()).await?;
            equal(listed(writer, &image).await?, expected.clone(), "the referrers without a deleted one")?;
        }
    }
    indexes_are_complete(ctx.driver()).await
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::referrers_races":
    a_build_that_is_dropped_is_carried_on,
    a_push_beside_a_deletion_is_listed,
    two_registries_list_the_same,
};
