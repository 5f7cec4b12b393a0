//! Views of staged files: what is written can be read before it is published.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ErrorKind, FileReader, FileWriter, LocalFile, StagedView};

use crate::check::{ensure, equal, fails_with, same_bytes};
use crate::context::drain;
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

/// C21. After each write, whatever the view shows is what was written; after a flush it shows all.
async fn shows_what_was_written(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 9 << 20);
    let mut writer = ctx.writer("/staged/data").await?;
    let view = viewed(&*writer)?;
    equal(view.readable_bytes(), 0, "the readable bytes of a new file")?;
    let (mut written, mut readable) = (0, 0);
    for size in [1, 70_000, 3, 300_000, 1 << 20, 7, 5 << 20, 100_000, 65_536, 2, 1 << 20] {
        writer.write(content.slice(written..written + size)).await?;
        written += size;
        readable = still_shows(&view, &content, readable, written).await?;
        if size != 7 {
            continue;
        }
        writer.flush().await?;
        readable = still_shows(&view, &content, readable, written).await?;
        equal(readable, written, "the readable bytes after a flush")?;
        same_bytes(
            &read_file(view.reader(0..written as u64).await?).await?,
            &content[..written],
            "the view",
        )?;
    }
    writer.flush().await?;
    equal(view.readable_bytes(), written as u64, "the readable bytes after the last flush")?;
    for range in [0..1, 70_000..70_001, 5..400_000, written - 1..written, written..written, 0..written] {
        let positions = range.start as u64..range.end as u64;
        let reader = view.reader(positions.clone()).await?;
        equal(reader.range(), positions.clone(), "the range of the reader")?;
        same_bytes(&drain(reader).await?, &content[range.clone()], format_args!("{range:?} of the view"))?;
        let read = read_file(view.reader(positions).await?).await?;
        same_bytes(&read, &content[range.clone()], format_args!("{range:?} of the file behind the view"))?;
    }
    let beyond = view.reader(0..written as u64 + 1).await;
    fails_with(beyond, ErrorKind::RangeInvalid, "reading more than is readable")?;
    writer.commit(&path("/blobs/data")).await?;
    ctx.holds("/blobs/data", &content[..written]).await
}

/// C21. After a commit, also when the published file is replaced and deleted; and of a file that was cancelled, reverted or
/// dropped, never other bytes.
async fn keeps_its_bytes_after_the_end(ctx: Context) -> Result<(), Failed> {
    let (content, other) = (bytes(1, 3 << 20), bytes(2, 3 << 20));
    let (writer, view) = staged(&ctx, &content).await?;
    let opened = view.reader(1000..content.len() as u64).await?;
    writer.commit(&path("/blobs/data")).await?;
    equal(view.readable_bytes(), content.len() as u64, "the readable bytes after the commit")?;
    ctx.upload("/staged/data", "/blobs/data", &other, 1 << 20).await?;
    same_bytes(&read(&view, 0..content.len()).await?, &content, "the view of a file that was replaced")?;
    ctx.delete_tree("/").await?;
    same_bytes(&read(&view, 0..content.len()).await?, &content, "the view of a file that was deleted")?;
    same_bytes(&drain(opened).await?, &content[1000..], "a reader from before the commit")?;

    for end in ["cancel", "revert", "drop"] {
        let (writer, view) = staged(&ctx, &content).await?;
        let opened = view.reader(1000..content.len() as u64).await?;
        match end {
            "cancel" => writer.cancel().await?,
            "revert" => writer.revert().await?,
            _ => drop(writer),
        }
        let (mut next, _) = staged(&ctx, &other).await?;
        next.flush().await?;
        equal(view.readable_bytes(), content.len() as u64, format_args!("the readable bytes after {end}"))?;
        if let Ok(read) = read(&view, 0..content.len()).await {
            same_bytes(&read, &content, format_args!("the view after {end}"))?;
        }
        if let Ok(read) = drain(opened).await {
            same_bytes(&read, &content[1000..], format_args!("a reader from before {end}"))?;
        }
        next.cancel().await?;
    }
    Ok(())
}

/// A staged file that holds `content`, all of it readable.
async fn staged(
    ctx: &Context,
    content: &Bytes,
) -> Result<(Box<dyn FileWriter>, Arc<dyn StagedView>), Failed> {
    let mut writer = ctx.writer("/staged/data").await?;
    let view = viewed(&*writer)?;
    for piece in content.chunks(300_000) {
        writer.write(content.slice_ref(piece)).await?;
    }
    writer.flush().await?;
    Ok((writer, view))
}

fn viewed(writer: &dyn FileWriter) -> Result<Arc<dyn StagedView>, Failed> {
    writer.view().ok_or_else(|| Failed::new("the writer of a new file has no view, though others had"))
}

/// Checks what `view` shows of `content`, of which `written` bytes were accepted. Returns how much it shows.
async fn still_shows(
    view: &Arc<dyn StagedView>,
    content: &Bytes,
    before: usize,
    written: usize,
) -> Result<usize, Failed> {
    let readable = usize::try_from(view.readable_bytes())?;
    ensure(readable >= before, format_args!("after {before} bytes, only {readable} are readable"))?;
    ensure(readable <= written, format_args!("{readable} bytes are readable, but {written} were written"))?;
    let shown = read(view, before..readable).await?;
    same_bytes(&shown, &content[before..readable], format_args!("the view from {before}"))?;
    ensure(view.readable_bytes() >= readable as u64, "reading made bytes of the view unreadable")?;
    Ok(readable)
}

async fn read(view: &Arc<dyn StagedView>, range: Range<usize>) -> Result<Vec<u8>, Failed> {
    drain(view.reader(range.start as u64..range.end as u64).await?).await
}

/// The bytes of a reader, through its file if there is one.
async fn read_file(reader: FileReader) -> Result<Vec<u8>, Failed> {
    let range = reader.range();
    match reader.into_file() {
        Ok(LocalFile { file, mut windows, .. }) => {
            let (mut read, mut end) = (Vec::new(), range.start);
            while let Some(window) = windows.try_next().await? {
                equal(window.start, end, "the position of a window of the file behind the view")?;
                let mut piece = vec![0; usize::try_from(window.end - window.start)?];
                file.read_exact_at(&mut piece, window.start)?;
                read.extend_from_slice(&piece);
                end = window.end;
            }
            Ok(read)
        }
        Err(reader) => drain(reader).await,
    }
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::view":
    shows_what_was_written if View,
    keeps_its_bytes_after_the_end if View,
};
