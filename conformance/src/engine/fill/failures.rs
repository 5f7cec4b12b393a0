//! Upstreams that send something else, or fail.

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{BoxError, ByteRange};
use sampan_engine::fill::{FillError, FillSource, WITHHELD_BYTES};
use sampan_engine::oci::Digest;

use super::plain::with_and_without_views;
use super::setting::{Broken, Setting, read_until_failure};
use crate::check::{ensure, equal, same_bytes};
use crate::context::drain;
use crate::data::bytes;
use crate::{Context, Failed};

pub(super) async fn wrong_content_is_never_whole(ctx: Context) -> Result<(), Failed> {
    let sent = bytes(1, 500_000);
    let digest = Digest::sha256_of(b"something else");
    let limit = 500_000 - WITHHELD_BYTES;
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, fill) = setting.join("a", &digest, Some(500_000));
        let ranges =
            [ByteRange::ALL, ByteRange::from(limit), ByteRange::new(limit - 1, 2), ByteRange::from(499_999)];
        let mut readers = Vec::new();
        for range in ranges {
            readers.push(tokio::spawn(read_until_failure(fill.reader(range).await?)));
        }
        feed.send(&sent);
        drop(feed);
        for (range, reader) in ranges.into_iter().zip(readers) {
            let (read, ended) = reader.await?;
            ensure(
                matches!(ended, Err(FillError::Digest { .. })),
                format_args!("{range:?} ended with {ended:?}"),
            )?;
            let end = range.offset + read.len() as u64;
            ensure(
                read.is_empty() || end <= limit,
                format_args!("{range:?} was read to {end} of wrong content"),
            )?;
        }
        let stored = fill.stored().await;
        ensure(matches!(stored, Err(FillError::Digest { .. })), format_args!("it was stored: {stored:?}"))?;
        // The upstream is not asked again at once.
        let (_, again) = setting.join("b", &digest, None);
        ensure(
            matches!(again.opened().await, Err(FillError::Digest { .. })),
            "wrong content is fetched again",
        )?;
        equal(setting.opened(), 1, "the upstreams that were asked")?;
        equal(setting.fills.statistics().digest_mismatches, 1, "the mismatches")?;
        setting.ends_clean().await?;
        for digest in [&digest, &Digest::sha256_of(&sent)] {
            setting.lacks("a", digest).await?;
        }
    }
    Ok(())
}

pub(super) async fn another_length_is_an_error(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 300_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        for (announced, described) in [(Some(299_999), None), (None, Some(299_999)), (Some(300_001), None)] {
            let setting = Setting::new(&driver);
            let (feed, fill) = setting.join_described("a", &digest, announced, described);
            let reader = fill.reader(ByteRange::ALL).await?;
            feed.send(&content);
            // One byte too many is enough; one too few shows at the end only.
            let kept = (announced.or(described) < Some(300_000)).then_some(feed);
            let (read, ended) = read_until_failure(reader).await;
            let is_length = matches!(ended, Err(FillError::Length { received: 300_000, .. }));
            ensure(is_length, format_args!("{announced:?}, {described:?} ended with {ended:?}"))?;
            ensure(read.len() as u64 <= 300_000 - WITHHELD_BYTES, "the whole of it was read")?;
            drop(kept);
            setting.ends_clean().await?;
            setting.lacks("a", &digest).await?;
        }
    }
    Ok(())
}

pub(super) async fn a_broken_upstream_breaks_its_readers(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 500_000);
    let digest = Digest::sha256_of(&content);
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let (feed, fill) = setting.join("a", &digest, Some(500_000));
        let reader = fill.reader(ByteRange::ALL).await?;
        feed.send(&content[..400_000]);
        feed.fail("the cable");
        let (read, ended) = read_until_failure(reader).await;
        let is_ours =
            |error: &FillError| error.source_error().is_some_and(|Broken(what)| *what == "the cable");
        ensure(ended.as_ref().is_err_and(is_ours), format_args!("the reader ended with {ended:?}"))?;
        same_bytes(&read, &content[..read.len()], "what the reader got")?;
        ensure(fill.stored().await.as_ref().is_err_and(is_ours), "the error of the source is lost")?;
        ensure(fill.reader(ByteRange::ALL).await.as_ref().is_err_and(is_ours), "a reader of nothing")?;
        // The next request starts again.
        let (feed, fill) = setting.join("a", &digest, Some(500_000));
        feed.send(&content);
        drop(feed);
        same_bytes(&drain(fill.reader(ByteRange::ALL).await?).await?, &content, "the second attempt")?;
        fill.stored().await?;
        equal(setting.opened(), 2, "the upstreams that were asked")?;
        setting.ends_clean().await?;
        ctx.delete_tree("/docker").await?;
    }
    let setting = Setting::new(ctx.driver());
    let open = || Box::pin(std::future::ready(Err(Broken("refused").into()))) as _;
    let fill = setting.fills.join("upstream", &digest, &setting.client.repository("a"), None, open);
    let opened = fill.opened().await;
    let is_ours = |error: &FillError| error.source_error().is_some_and(|Broken(what)| *what == "refused");
    ensure(opened.as_ref().is_err_and(is_ours), format_args!("the upstream answered {opened:?}"))?;
    setting.ends_clean().await
}

/// A source with a bug.
struct Panics(Option<Bytes>);

#[async_trait]
impl FillSource for Panics {
    fn size_bytes(&self) -> Option<u64> {
        Some(500_000)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        match self.0.take() {
            Some(first) => Ok(Some(first)),
            None => std::panic::resume_unwind(Box::new("a bug")),
        }
    }
}

pub(super) async fn a_panic_leaves_an_error(ctx: Context) -> Result<(), Failed> {
    let digest = Digest::sha256_of(b"");
    for driver in with_and_without_views(ctx.driver()) {
        let setting = Setting::new(&driver);
        let source: Box<dyn FillSource> = Box::new(Panics(Some(bytes(1, 300_000))));
        let open = || Box::pin(std::future::ready(Ok(source))) as _;
        let fill = setting.fills.join("upstream", &digest, &setting.client.repository("a"), None, open);
        let ended = match fill.reader(ByteRange::ALL).await {
            Ok(reader) => read_until_failure(reader).await.1,
            Err(error) => Err(error),
        };
        ensure(matches!(ended, Err(FillError::Stopped)), format_args!("the reader ended with {ended:?}"))?;
        ensure(matches!(fill.stored().await, Err(FillError::Stopped)), "it was stored")?;
        setting.ends_clean().await?;
    }
    Ok(())
}
