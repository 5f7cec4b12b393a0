//! Notes of staged bytes, and writers that revert their changes.

use bytes::Bytes;
use sampan_driver::{FileWriter, MAX_NOTE_BYTES, WriteHint, WriteMode};

use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

/// C15. Within one process; another process may find no note.
async fn a_note_comes_back_with_its_bytes(ctx: Context) -> Result<(), Failed> {
    for size in [0, 100, 6 << 20] {
        equal(ctx.writer("/staged/data").await?.note(), None, "the note of a new file")?;
        stage(&ctx, bytes(1, size), "one").await?;
        let writer = noted(&ctx, "one").await?;
        writer.close(Bytes::from_static(b"two")).await?;
        let mut writer = noted(&ctx, "two").await?;
        writer.write(bytes(2, size + 1)).await?;
        equal(writer.note(), Some(Bytes::from_static(b"two")), "the note of an append that has written")?;
        let long = Bytes::from(vec![b'n'; MAX_NOTE_BYTES]);
        writer.close(long.clone()).await?;
        let writer = ctx.appender("/staged/data").await?;
        equal(writer.note(), Some(long), "the longest note")?;
        writer.close(Bytes::new()).await?;
        let writer = ctx.appender("/staged/data").await?;
        equal(writer.note(), None, "the note of a file closed without")?;
        let content = [&bytes(1, size)[..], &bytes(2, size + 1)].concat();
        writer.commit(&path("/blobs/data")).await?;
        ctx.holds("/blobs/data", &content).await?;
    }
    Ok(())
}

/// C15. All files have the same length.
async fn other_bytes_have_no_note(ctx: Context) -> Result<(), Failed> {
    let elsewhere = ctx.reopen().await?;
    for round in 0..3 {
        for size in [100, 6 << 20] {
            // Another process has appended.
            stage(&ctx, bytes(round, size), "old").await?;
            let mut writer = elsewhere.appender("/staged/data").await?;
            writer.write(bytes(1, 10)).await?;
            writer.close(Bytes::new()).await?;
            lacks_note(&ctx, "after another process appended").await?;
            // Another process has started over.
            stage(&ctx, bytes(round, size), "old").await?;
            stage(&elsewhere, bytes(2, size), "").await?;
            lacks_note(&ctx, "after another process began again").await?;
            // The writer cancelled the file, or a client deleted it.
            for cancels in [true, false] {
                stage(&ctx, bytes(round, size), "old").await?;
                match cancels {
                    true => ctx.appender("/staged/data").await?.cancel().await?,
                    false => ctx.delete_tree("/staged").await?,
                }
                stage(&elsewhere, bytes(3, size), "").await?;
                lacks_note(&ctx, "of a file that took the place of another").await?;
            }
            // The bytes of a dropped writer are not the closed ones, unless nothing is left.
            stage(&ctx, bytes(round, size), "old").await?;
            let mut writer = ctx.appender("/staged/data").await?;
            writer.write(bytes(4, size)).await?;
            drop(writer);
            let writer = ctx.appender("/staged/data").await?;
            ensure(
                writer.note().is_none() || writer.size() == size as u64,
                "a note came back after a writer was dropped that had appended",
            )?;
        }
    }
    Ok(())
}

/// C16. Smaller and larger than the part size of stores. The reverted bytes are sent again at the end: Ceph creates no
/// object from fewer parts than it received.
async fn revert_leaves_what_was_closed(ctx: Context) -> Result<(), Failed> {
    for (size, more) in [(100, 50), (0, 50), (100, 12 << 20), (6 << 20, 100), (11 << 20, 11 << 20)] {
        let content = bytes(1, size);
        stage(&ctx, content.clone(), "note").await?;
        for _ in 0..2 {
            let mut writer = noted(&ctx, "note").await?;
            equal(writer.size(), size as u64, "the size after a writer took back what it wrote")?;
            writer.write(bytes(2, more)).await?;
            writer.revert().await?;
        }
        let mut writer = noted(&ctx, "note").await?;
        equal(writer.size(), size as u64, "the size after a writer took back what it wrote")?;
        writer.write(bytes(3, more)).await?;
        writer.commit(&path("/blobs/data")).await?;
        ctx.holds("/blobs/data", &[&content[..], &bytes(3, more)].concat()).await?;

        let hint = WriteHint { len: None, target: Some(path("/blobs/new")) };
        let mut writer = ctx.driver().writer(&path("/staged/data"), WriteMode::Create(hint)).await?;
        writer.write(bytes(3, more)).await?;
        writer.revert().await?;
        ctx.lacks_staged("/staged/data").await?;
        ctx.lacks("/blobs/new").await?;
    }
    equal(ctx.walk("/", None).await?, ["/blobs/data"], "the walk")
}

async fn stage(ctx: &Context, content: Bytes, note: &'static str) -> Result<(), Failed> {
    let mut writer = ctx.writer("/staged/data").await?;
    writer.write(content).await?;
    writer.close(Bytes::from_static(note.as_bytes())).await?;
    Ok(())
}

async fn noted(ctx: &Context, note: &'static str) -> Result<Box<dyn FileWriter>, Failed> {
    let writer = ctx.appender("/staged/data").await?;
    equal(writer.note(), Some(Bytes::from_static(note.as_bytes())), "the note")?;
    Ok(writer)
}

async fn lacks_note(ctx: &Context, when: &str) -> Result<(), Failed> {
    let writer = ctx.appender("/staged/data").await?;
    equal(writer.note(), None, format_args!("the note {when}"))?;
    Ok(writer.cancel().await?)
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::writer":
    a_note_comes_back_with_its_bytes,
    other_bytes_have_no_note,
    revert_leaves_what_was_closed,
};
