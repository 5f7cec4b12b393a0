//! Reading as a stream, whole or in part.

use std::os::unix::fs::FileExt;

use futures::TryStreamExt;
use rand::Rng;
use sampan_driver::{ByteRange, ErrorKind, LocalFile};
use tokio::task::JoinSet;

use super::content::join;
use crate::check::{ensure, equal, fails_with, same_bytes};
use crate::context::drain;
use crate::data::{bytes, path, rng};
use crate::{Clause, Context, Failed, clause::table};

async fn streams_the_whole_file(ctx: Context) -> Result<(), Failed> {
    for (seed, size) in [0, 1, 65_536, 262_145, 5 << 20].into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        ctx.put("/file", content.clone()).await?;
        let reader = ctx.reader("/file", ByteRange::ALL).await?;
        equal(reader.size_bytes(), size as u64, "size_bytes of the reader")?;
        equal(reader.range(), 0..size as u64, "range of the reader")?;
        same_bytes(&drain(reader).await?, &content, "the stream")?;
    }
    Ok(())
}

async fn missing_is_not_found(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    for missing in ["/dir/other", "/other", "/dir"] {
        for offset in [0, 64] {
            let opened = ctx.driver().reader(&path(missing), ByteRange::from(offset)).await;
            fails_with(opened, ErrorKind::NotFound, format_args!("reader of {missing} from {offset}"))?;
        }
    }
    Ok(())
}

/// C10.
async fn offset_edges(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 96);
    ctx.put("/file", content.clone()).await?;
    same_bytes(&ctx.read("/file", ByteRange::from(95)).await?, &content[95..], "from the last byte")?;
    same_bytes(&ctx.read("/file", ByteRange::from(96)).await?, b"", "from the end")?;
    same_bytes(&ctx.read("/file", ByteRange::new(96, 10)).await?, b"", "ten bytes from the end")?;
    for beyond in [97, 1000, (1 << 32) + 5, u64::MAX] {
        for range in [ByteRange::from(beyond), ByteRange::new(beyond, 0), ByteRange::new(beyond, 1)] {
            let opened = ctx.driver().reader(&path("/file"), range).await;
            fails_with(opened, ErrorKind::RangeInvalid, format_args!("reader of {range:?} in 96 bytes"))?;
        }
    }
    ctx.put("/empty", "").await?;
    same_bytes(&ctx.read("/empty", ByteRange::ALL).await?, b"", "an empty file from its beginning")?;
    let opened = ctx.driver().reader(&path("/empty"), ByteRange::from(1)).await;
    fails_with(opened, ErrorKind::RangeInvalid, "reader of an empty file from byte 1")?;
    Ok(())
}

async fn offsets_are_exact(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 96);
    ctx.put("/small", content.clone()).await?;
    for offset in 0..=96 {
        let read = ctx.read("/small", ByteRange::from(offset as u64)).await?;
        same_bytes(&read, &content[offset..], format_args!("from byte {offset}"))?;
    }
    let content = bytes(2, 3 << 20);
    ctx.upload("/staged", "/large", &content, 700_001).await?;
    for offset in [1, 65_535, 65_536, 1 << 20, 1_400_002, (3 << 20) - 1] {
        let read = ctx.read("/large", ByteRange::from(offset as u64)).await?;
        same_bytes(&read, &content[offset..], format_args!("from byte {offset}"))?;
    }
    Ok(())
}

async fn length_is_kept(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 1_000_000);
    ctx.upload("/staged", "/file", &content, 99_999).await?;
    let mut rng = rng(1);
    let mut ranges: Vec<(u64, u64)> =
        vec![(0, 0), (0, 1), (0, 1_000_000), (0, u64::MAX), (999_999, 1), (999_999, 2), (5, u64::MAX)];
    ranges.extend((0..50).map(|_| (rng.random_range(0..1_000_000), rng.random_range(0..500_000))));
    for (offset, length) in ranges {
        let end = offset.saturating_add(length).min(1_000_000);
        let reader = ctx.reader("/file", ByteRange::new(offset, length)).await?;
        equal(reader.range(), offset..end, "range of the reader")?;
        equal(reader.size_bytes(), 1_000_000, "size_bytes of the reader")?;
        let expected = &content[offset as usize..end as usize];
        same_bytes(&drain(reader).await?, expected, format_args!("{length} bytes from {offset}"))?;
    }
    Ok(())
}

/// The range is fixed when the reader is created. The file exceeds any buffer, so the driver cannot have read it already.
async fn survives_deletion(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 9 << 20);
    ctx.upload("/staged", "/dir/file", &content, 1 << 20).await?;
    let (first, second) =
        (ctx.reader("/dir/file", ByteRange::ALL).await?, ctx.reader("/dir/file", ByteRange::from(5)).await?);
    ctx.delete("/dir/file").await?;
    same_bytes(&drain(first).await?, &content, "a reader of a deleted file")?;
    ctx.delete_tree("/dir").await?;
    same_bytes(&drain(second).await?, &content[5..], "a reader of a deleted tree")
}

async fn survives_replacement(ctx: Context) -> Result<(), Failed> {
    let (old, new) = (bytes(1, 9 << 20), bytes(2, 9 << 20));
    ctx.upload("/staged", "/file", &old, 1 << 20).await?;
    let reader = ctx.reader("/file", ByteRange::ALL).await?;
    ctx.upload("/staged", "/file", &new, 1 << 20).await?;
    same_bytes(&drain(reader).await?, &old, "a reader of what was replaced by a commit")?;
    let reader = ctx.reader("/file", ByteRange::from(1)).await?;
    ctx.put("/file", "small").await?;
    same_bytes(&drain(reader).await?, &new[1..], "a reader of what was replaced by put_content")?;
    ctx.holds("/file", b"small").await
}

/// If the reader has an open file, the HTTP layer sends that file, window by window, and never polls the stream.
async fn file_behind_is_the_same(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 5 << 20);
    ctx.put("/file", content.clone()).await?;
    let (start, len) = (1000, 4_500_000);
    let reader = ctx.reader("/file", ByteRange::new(start, len)).await?;
    if let Ok(LocalFile { file, mut windows, .. }) = reader.into_file() {
        let mut end = start;
        while let Some(window) = windows.try_next().await? {
            ensure(!window.is_empty(), format_args!("after {end} bytes comes the window {window:?}"))?;
            let mut read = vec![0; usize::try_from(window.end - window.start)?];
            // The content may be a part of a larger file, so its place there is the driver's.
            file.read_exact_at(&mut read, window.start)?;
            let expected = usize::try_from(end)?..usize::try_from(end)? + read.len();
            ensure(expected.end <= content.len(), format_args!("{window:?} leads behind the content"))?;
            same_bytes(
                &read,
                &content[expected],
                format_args!("{window:?} of the open file behind the reader"),
            )?;
            end += window.end - window.start;
        }
        equal(end, start + len, "the end of the last window")?;
    }
    let read = ctx.read("/file", ByteRange::new(start, len)).await?;
    same_bytes(&read, &content[1000..4_501_000], "the stream of such a reader")
}

async fn many_read_at_once(ctx: Context) -> Result<(), Failed> {
    let size = ctx.scale(10 << 20, 128 << 20);
    let content = bytes(1, size);
    ctx.upload("/staged", "/file", &content, 1 << 20).await?;
    let mut opened = Vec::new();
    for reader in 0..10 {
        let offset = rng(reader).random_range(0..size);
        opened.push((offset, ctx.reader("/file", ByteRange::from(offset as u64)).await?));
    }
    // All are open before the first reads, however busy the machine is.
    let mut readers = JoinSet::new();
    for (offset, reader) in opened {
        let content = content.clone();
        readers.spawn(async move {
            let read = drain(reader).await?;
            same_bytes(&read, &content[offset..], format_args!("one of ten readers, from {offset}"))
        });
    }
    join(readers).await
}

async fn a_dropped_reader_disturbs_nobody(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 4 << 20);
    ctx.put("/file", content.clone()).await?;
    for _ in 0..50 {
        let mut stream = ctx.reader("/file", ByteRange::ALL).await?.into_stream();
        let first = stream.try_next().await?.unwrap_or_default();
        ensure(
            !first.is_empty() && content.starts_with(&first),
            "the first chunk is not the beginning of the file",
        )?;
    }
    ctx.holds("/file", &content).await
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::reader":
    streams_the_whole_file,
    missing_is_not_found,
    offset_edges,
    offsets_are_exact,
    length_is_kept,
    survives_deletion,
    survives_replacement,
    file_behind_is_the_same,
    many_read_at_once,
    a_dropped_reader_disturbs_nobody,
};
