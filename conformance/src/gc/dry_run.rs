//! A dry run reports what it would delete, and writes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sampan_driver::{DriverPath, StorageDriverExt};
use sampan_engine::gc::{Observer, Options};
use sampan_engine::layout::Entry;

use super::collector::{collect_later, options, paths};
use super::generated::Generated;
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

async fn leaves_every_byte(ctx: Context) -> Result<(), Failed> {
    Generated::new(1).write(ctx.driver()).await?;
    let before = contents(&ctx).await?;
    collect_later(ctx.driver(), &Options { dry_run: true, ..options(true) }).await?;
    ensure(
        !ctx.driver().exists(&Entry::CollectionLast.path()).await?,
        "the dry run says that it has collected",
    )?;
    ensure(contents(&ctx).await? == before, "the dry run changed the store")
}

async fn finds_what_a_real_one_deletes(ctx: Context) -> Result<(), Failed> {
    Generated::new(2).write(ctx.driver()).await?;
    let (would, would_lines) = observed(&ctx, true).await?;
    let (did, did_lines) = observed(&ctx, false).await?;
    let differ = would_lines.iter().zip(&did_lines).find(|(would, did)| would != did);
    ensure(differ.is_none(), format_args!("the dry run told another story: {differ:?}"))?;
    equal(would_lines.len(), did_lines.len(), "the lines of the observer")?;
    equal(would.blobs, did.blobs, "the blobs")?;
    equal(would.layer_links, did.layer_links, "the layer links")?;
    equal(would.manifests, did.manifests, "the manifests")?;
    equal(would.tag_entries, did.tag_entries, "the tag entries")?;
    ensure(
        did.blobs.count > 0 && did.layer_links > 0 && did.manifests > 0,
        "there was no garbage to speak of",
    )
}

async fn observed(ctx: &Context, dry_run: bool) -> Result<(sampan_engine::gc::Report, Vec<String>), Failed> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let lines = lines.clone();
        Observer::new(move |event| {
            if let Ok(mut lines) = lines.lock() {
                lines.push(event.to_string());
            }
        })
    };
    let options = Options { dry_run, observer: Some(observer), ..options(true) };
    let report = collect_later(ctx.driver(), &options).await?;
    let lines = lines.lock().map(|lines| lines.clone()).unwrap_or_default();
    Ok((report, lines))
}

async fn contents(ctx: &Context) -> Result<BTreeMap<DriverPath, Bytes>, Failed> {
    let mut contents = BTreeMap::new();
    for path in paths(ctx.driver()).await? {
        let content = ctx.driver().get_content(&path).await?;
        contents.insert(path, content);
    }
    Ok(contents)
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::dry_run": leaves_every_byte, finds_what_a_real_one_deletes];
