//! Every flow, failing at its first, second, third … operation of the driver, until it completes.
//!
//! After each failure the store must be valid, and a new process must be able to repeat the flow.

use std::sync::Arc;

use sampan_driver::StorageDriver;
use sampan_engine::Error;

use super::client::{Client, tag};
use super::store::{indexes_are_complete, is_valid};
use crate::check::ensure;
use crate::failed::{Done, located};
use crate::faulty::{Fault, Faulty};
use crate::{Clause, Context, Failed, clause::table};

use blobs::*;
use manifests::*;

mod blobs;
mod manifests;

/// Interrupts `run` at every operation of the driver: after `before` was done, and such that `after` holds when it completes.
#[track_caller]
fn crash_everywhere<B, R, A>(
    ctx: &Context,
    before: impl Fn(Client) -> B,
    run: impl Fn(Client) -> R,
    after: impl Fn(Client) -> A,
) -> impl Done<()>
where
    B: Future<Output = Result<(), Error>>,
    R: Future<Output = Result<(), Error>>,
    A: Future<Output = Result<(), Failed>>,
{
    located(async move {
        let mut has_failed = false;
        for fault in Fault::ALL {
            for fails_at in ctx.moments(fault) {
                ctx.delete_tree("/").await?;
                before(Client::of_another_process(ctx).await?).await?;
                let faulty = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
                let has_index = indexes_are_complete(ctx.driver()).await.is_ok();
                let outcome = crash(ctx, &faulty, has_index, &run, &after).await;
                outcome.map_err(|failed| failed.within(format_args!("{fault:?} at operation {fails_at}")))?;
                if !faulty.has_failed() {
                    break;
                }
                has_failed = true;
            }
        }
        ensure(has_failed, "the flow does nothing")
    })
}

async fn crash<R, A>(
    ctx: &Context,
    faulty: &Arc<Faulty>,
    has_index: bool,
    run: impl Fn(Client) -> R,
    after: impl Fn(Client) -> A,
) -> Result<(), Failed>
where
    R: Future<Output = Result<(), Error>>,
    A: Future<Output = Result<(), Failed>>,
{
    let driver: Arc<dyn StorageDriver> = faulty.clone();
    let interrupted = run(Client::new(&driver)).await;
    let reopened = ctx.reopen().await?;
    is_valid(reopened.driver()).await?;
    if has_index {
        indexes_are_complete(reopened.driver()).await?;
    }
    listed_tags_can_be_pulled(&Client::new(reopened.driver())).await?;
    if interrupted.is_err() {
        ensure(faulty.has_failed(), "the flow fails though the driver does not")?;
        run(Client::new(reopened.driver())).await?;
    }
    // Acknowledged changes hold, even after an error in a step that did not matter.
    after(Client::of_another_process(ctx).await?).await?;
    is_valid(reopened.driver()).await
}

pub(super) async fn listed_tags_can_be_pulled(client: &Client) -> Result<(), Failed> {
    let tags = match client.repository("image").tags().list(None, None).await {
        Ok(page) => page.items,
        Err(Error::RepositoryUnknown(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in tags {
        let got = client.repository("image").manifests().get(&tag(&name).into()).await;
        ensure(got.is_ok(), format_args!("the tag {name} is listed, but reading it gives {got:?}"))?;
    }
    Ok(())
}

async fn nothing() -> Result<(), Error> {
    Ok(())
}

/// The first attempt may have deleted it already.
fn unless_unknown(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::BlobUnknown(..) | Error::ManifestUnknown(..) | Error::UploadUnknown(_)) => Ok(()),
        other => other,
    }
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::crash":
    pushing_a_blob,
    pushing_a_blob_by_an_alias,
    resuming_an_upload,
    ending_an_upload_twice,
    sending_chunks,
    cancelling_an_upload,
    mounting_a_blob,
    pushing_an_image,
    moving_a_tag,
    pushing_an_index,
    pushing_an_artifact,
    deleting_an_artifact,
    listing_for_the_first_time,
    deleting_a_tag,
    restoring_a_tag,
    deleting_a_manifest,
    deleting_a_manifest_by_an_alias,
    deleting_a_blob,
};
