//! Files written piece by piece and published in one step. `writer_loss.rs` covers unfinished ones.

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, WriteHint, WriteMode};
use sha2::{Digest, Sha256};

use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn committed_content_comes_back(ctx: Context) -> Result<(), Failed> {
    let sizes =
        [(1, 1), (32, 32), (100_000, 7), (1 << 20, 65_536), ((5 << 20) + 3, 1 << 20), (12 << 20, 5 << 20)];
    for (seed, (size, piece)) in sizes.into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        ctx.upload("/staged/data", "/blobs/data", &content, piece).await?;
        ctx.holds("/blobs/data", &content).await?;
    }
    let not_text = Bytes::from_static(b"\x80\x80\xff\0\r\n");
    ctx.upload("/staged/data", "/blobs/data", &not_text, 2).await?;
    ctx.holds("/blobs/data", &not_text).await
}

/// C3, with every hint, since a hint may change the path of the bytes.
async fn nothing_appears_before_commit(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 8 << 20);
    for (hinted_len, hinted_target) in [(false, false), (true, false), (false, true), (true, true)] {
        let target = format!("/blobs/{hinted_len}-{hinted_target}/data");
        let hint = WriteHint {
            len: hinted_len.then_some(2 * content.len() as u64),
            target: hinted_target.then(|| path(&target)),
        };
        let mut writer = ctx.driver().writer(&path("/staged/data"), WriteMode::Create(hint)).await?;
        ctx.lacks(&target).await?;
        for piece in content.chunks(1 << 20) {
            writer.write(content.slice_ref(piece)).await?;
            ctx.lacks(&target).await?;
        }
        writer.close(Bytes::new()).await?;
        ctx.lacks(&target).await?;
        let mut writer = ctx.appender("/staged/data").await?;
        writer.write(content.clone()).await?;
        ctx.lacks(&target).await?;
        writer.commit(&path(&target)).await?;
        ctx.holds(&target, &[&content[..], &content].concat()).await?;
    }
    Ok(())
}

async fn commit_leaves_nothing_staged(ctx: Context) -> Result<(), Failed> {
    ctx.upload("/staged/data", "/blobs/data", &bytes(1, 100_000), 40_000).await?;
    ctx.lacks("/staged/data").await?;
    ctx.lacks_staged("/staged/data").await?;
    equal(ctx.walk("/", None).await?, ["/blobs/data"], "the walk")
}

async fn commit_replaces_its_target(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in [100_000, 10, 0, 200_000].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        ctx.upload("/staged/data", "/blobs/data", &content, 30_000).await?;
        ctx.holds("/blobs/data", &content).await?;
    }
    Ok(())
}

async fn commit_to_its_own_path_publishes_there(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in [100_000, 50].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        ctx.upload("/dir/file", "/dir/file", &content, 60_000).await?;
        ctx.holds("/dir/file", &content).await?;
    }
    equal(ctx.walk("/", None).await?, ["/dir/file"], "the walk")
}

async fn zero_bytes_are_a_file(ctx: Context) -> Result<(), Failed> {
    ctx.upload("/staged/data", "/blobs/empty", &Bytes::new(), 1).await?;
    ctx.holds("/blobs/empty", b"").await?;
    let mut writer = ctx.writer("/staged/data").await?;
    writer.write(Bytes::new()).await?;
    equal(writer.size(), 0, "the size after an empty write")?;
    writer.commit(&path("/blobs/too")).await?;
    ctx.holds("/blobs/too", b"").await
}

async fn zero_bytes_can_be_appended_to(ctx: Context) -> Result<(), Failed> {
    equal(
        ctx.writer("/staged/data").await?.close(Bytes::new()).await?,
        0,
        "the size of a file closed at once",
    )?;
    let writer = ctx.appender("/staged/data").await?;
    equal(writer.size(), 0, "the size when appending to nothing")?;
    equal(writer.close(Bytes::new()).await?, 0, "the size of a file closed at once again")?;
    let mut writer = ctx.appender("/staged/data").await?;
    let content = bytes(1, 32);
    writer.write(content.clone()).await?;
    writer.commit(&path("/blobs/data")).await?;
    ctx.holds("/blobs/data", &content).await
}

async fn many_small_writes_add_up(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 200_003);
    ctx.upload("/staged/data", "/blobs/data", &content, 17).await?;
    ctx.holds("/blobs/data", &content).await
}

async fn writes_of_mixed_sizes_keep_their_order(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 20 << 20);
    let mut writer = ctx.writer("/staged/data").await?;
    let mut rest = content.clone();
    for size in [1, 100_000, 3, 6 << 20, 65_536, 1 << 20, 7, 0, 5 << 20, 2, usize::MAX] {
        writer.write(rest.split_to(size.min(rest.len()))).await?;
        equal(writer.size(), (content.len() - rest.len()) as u64, "the size so far")?;
    }
    writer.commit(&path("/blobs/data")).await?;
    ctx.holds("/blobs/data", &content).await
}

/// C4, three times, in pieces smaller and larger than the part size of stores.
async fn append_survives_reopen(ctx: Context) -> Result<(), Failed> {
    let mut ctx = ctx;
    for (seed, piece) in [32, 100_000, (5 << 20) + 1, 10 << 20].into_iter().enumerate() {
        let content = bytes(seed as u64, 4 * piece);
        let mut pieces = content.chunks(piece);
        let mut size =
            ctx.stage("/staged/data", content.slice_ref(pieces.next().unwrap_or_default())).await?;
        equal(size, piece as u64, "the size after the first close")?;
        for more in pieces {
            ctx = ctx.restart().await?;
            let mut writer = ctx.appender("/staged/data").await?;
            equal(writer.size(), size, "the size after reopening")?;
            writer.write(content.slice_ref(more)).await?;
            size += more.len() as u64;
            equal(writer.close(Bytes::new()).await?, size, "the size after closing again")?;
        }
        ctx = ctx.restart().await?;
        let writer = ctx.appender("/staged/data").await?;
        writer.commit(&path("/blobs/data")).await?;
        ctx.holds("/blobs/data", &content).await?;
    }
    Ok(())
}

async fn commit_after_append_publishes_all(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 300_000);
    ctx.stage("/staged/data", content.slice(..100_000)).await?;
    let mut writer = ctx.appender("/staged/data").await?;
    writer.write(content.slice(100_000..200_000)).await?;
    writer.write(content.slice(200_000..)).await?;
    equal(writer.size(), 300_000, "the size before the commit")?;
    writer.commit(&path("/blobs/data")).await?;
    ctx.holds("/blobs/data", &content).await
}

async fn create_drops_what_was_staged(ctx: Context) -> Result<(), Failed> {
    ctx.stage("/staged/data", bytes(1, 100_000)).await?;
    let mut writer = ctx.writer("/staged/data").await?;
    equal(writer.size(), 0, "the size of a new beginning")?;
    let content = bytes(2, 10);
    writer.write(content.clone()).await?;
    equal(writer.close(Bytes::new()).await?, 10, "the size of what was started again")?;
    ctx.appender("/staged/data").await?.commit(&path("/blobs/data")).await?;
    ctx.holds("/blobs/data", &content).await
}

async fn a_wrong_hint_does_no_harm(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 100_000);
    for len in [0, 1, 99_999, 100_001, 50 << 20, u64::MAX] {
        let hint = WriteHint { len: Some(len), target: Some(path("/blobs/hinted")) };
        let mut writer = ctx.driver().writer(&path("/staged/data"), WriteMode::Create(hint)).await?;
        writer.write(content.slice(..60_000)).await?;
        writer.write(content.slice(60_000..)).await?;
        let target = format!("/blobs/{len}");
        writer.commit(&path(&target)).await?;
        ctx.holds(&target, &content).await?;
        ctx.lacks("/blobs/hinted").await?;
    }
    Ok(())
}

async fn large_content_streams_through(ctx: Context) -> Result<(), Failed> {
    let block = bytes(1, (1 << 20) + 7);
    let (mut writer, mut written) = (ctx.writer("/staged/data").await?, Sha256::new());
    while writer.size() < ctx.large_bytes() {
        writer.write(block.clone()).await?;
        written.update(&block);
    }
    let size = writer.size();
    writer.commit(&path("/blobs/data")).await?;
    equal(ctx.stat("/blobs/data").await?.size_bytes, size, "the size")?;
    let (mut stream, mut read) =
        (ctx.reader("/blobs/data", ByteRange::ALL).await?.into_stream(), Sha256::new());
    while let Some(chunk) = stream.try_next().await? {
        read.update(&chunk);
    }
    ensure(read.finalize() == written.finalize(), "the hash of what was read is not that of what was written")
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::writer":
    committed_content_comes_back,
    nothing_appears_before_commit,
    commit_leaves_nothing_staged,
    commit_replaces_its_target,
    commit_to_its_own_path_publishes_there,
    zero_bytes_are_a_file,
    zero_bytes_can_be_appended_to,
    many_small_writes_add_up,
    writes_of_mixed_sizes_keep_their_order,
    append_survives_reopen,
    commit_after_append_publishes_all,
    create_drops_what_was_staged,
    a_wrong_hint_does_no_harm,
    large_content_streams_through if Large,
};
