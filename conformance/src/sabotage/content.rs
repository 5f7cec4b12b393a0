//! Reading, putting and opening files, each with its lies.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use sampan_driver::{
    ByteRange, DriverError, DriverPath, ErrorKind, FileReader, FileWriter, LocalFile, Operation, PutMode,
    Result, StorageDriver, StorageDriverExt, WriteHint, WriteMode, put_one_by_one,
};

use super::Lie;
use super::driver::{Sabotaged, as_text, pause};

impl Sabotaged {
    pub(super) async fn lying_put(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let (inner, exists) = (&self.inner, self.inner.exists(path).await?);
        let creates = mode == PutMode::Create;
        match self.lie {
            Lie::HidesDotNames if path.name().is_some_and(|name| name.starts_with('.')) => Ok(()),
            Lie::CutsLargeContent => {
                inner.put_content(path, content.slice(..content.len().min(1 << 20)), mode).await
            }
            Lie::TextOnly => inner.put_content(path, as_text(&content), mode).await,
            Lie::IgnoresEmptyContent if content.is_empty() => Ok(()),
            Lie::OverwriteKeepsTail => {
                let old = inner.get_content_if_any(path).await?.unwrap_or_default();
                let tail = &old[content.len().min(old.len())..];
                inner.put_content(path, [&content, tail].concat().into(), mode).await
            }
            Lie::TearsOverwrites if exists => {
                inner.put_content(path, content.slice(..content.len() / 2), mode).await?;
                pause().await;
                inner.put_content(path, content, mode).await
            }
            Lie::TransientKeepsTheOld if mode == PutMode::Transient && exists => Ok(()),
            Lie::CreateDoesNothing if creates && !exists => Ok(()),
            Lie::CreateOverwrites => inner.put_content(path, content, PutMode::Overwrite).await,
            Lie::CreateRemembersTheDead if creates && self.memory.notes().ever.contains(path) => {
                Err(self.error(ErrorKind::AlreadyExists, Operation::PutContent, path))
            }
            Lie::CreateChecksThenWrites if creates && !exists => {
                pause().await;
                inner.put_content(path, content, PutMode::Overwrite).await
            }
            _ => inner.put_content(path, content, mode).await,
        }
    }

    pub(super) async fn lying_put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        match (self.lie, files) {
            (Lie::PutAllLosesTheLast, [all_but_one @ .., _]) if !all_but_one.is_empty() => {
                put_one_by_one(self, all_but_one).await
            }
            (Lie::PutAllOfNothingMakesAFile, []) => {
                let Ok(invented) = "/invented".parse() else { return Ok(()) };
                self.put_content(&invented, Bytes::new(), PutMode::Overwrite).await
            }
            (Lie::PutAllBeginsAtTheEnd, files) => {
                for (path, content) in files.iter().rev() {
                    self.put_content(path, content.clone(), PutMode::Overwrite).await?;
                    pause().await;
                }
                Ok(())
            }
            (Lie::PutAllKeepsTheTime, files) => {
                for (path, content) in files {
                    let born = self.inner.stat_if_any(path).await?.map(|info| info.modified);
                    self.put_content(path, content.clone(), PutMode::Overwrite).await?;
                    self.memory.notes().times.extend(born.map(|born| (path.clone(), born)));
                }
                Ok(())
            }
            (Lie::PutAllGoesOnAfterAFailure, files) => {
                let mut result = Ok(());
                for (path, content) in files {
                    result = result.and(self.put_content(path, content.clone(), PutMode::Overwrite).await);
                }
                result
            }
            _ => put_one_by_one(self, files).await,
        }
    }

    pub(super) async fn lying_reader(&self, path: &DriverPath, mut range: ByteRange) -> Result<FileReader> {
        let Some(info) = self.inner.stat_if_any(path).await? else {
            return match self.lie {
                Lie::MissingIsEmpty => Ok(FileReader::new(0, 0..0, stream::empty().boxed())),
                _ => self.inner.reader(path, range).await,
            };
        };
        let size = info.size_bytes;
        match self.lie {
            Lie::BeyondTheEndIsEmpty => range.offset = range.offset.min(size),
            Lie::OffsetIsOneTooSmall if range.offset < size => range.offset = range.offset.saturating_sub(1),
            Lie::ReaderIgnoresLength => range.len = None,
            _ => {}
        }
        let reader = self.inner.reader(path, range).await?;
        let (true_range, path) = (reader.range(), path.clone());
        match self.lie {
            Lie::ReaderMisstatesSize => Ok(FileReader::new(size + 1, true_range, reader.into_stream())),
            Lie::ReadsLate => {
                let inner = self.inner.clone();
                let late = async move { inner.reader(&path, range).await.map(FileReader::into_stream) };
                Ok(FileReader::new(size, true_range, late.into_stream().try_flatten().boxed()))
            }
            Lie::OffersAnotherFile => {
                let file = another_file(size).map_err(|error| {
                    self.error(ErrorKind::Other, Operation::Reader, &path).with_source(error)
                })?;
                let windows = stream::iter([Ok(true_range.clone())]).boxed();
                let other = LocalFile::new(Arc::new(file), windows);
                Ok(FileReader::of_file(size, true_range, reader.into_stream(), other))
            }
            Lie::ReadersShareAPosition => {
                let disturbed = self.memory.open_readers.fetch_add(1, Ordering::SeqCst) > 0;
                let memory = self.memory.clone();
                let end = async move {
                    memory.open_readers.fetch_sub(1, Ordering::SeqCst);
                    None
                };
                let spoil =
                    move |chunk: Bytes| if disturbed { Bytes::from(vec![0; chunk.len()]) } else { chunk };
                let chunks = reader.into_stream().map_ok(spoil);
                let chunks = chunks.chain(end.into_stream().filter_map(std::future::ready));
                Ok(FileReader::new(size, true_range, chunks.boxed()))
            }
            _ => Ok(reader),
        }
    }

    pub(super) async fn lying_writer(
        &self,
        path: &DriverPath,
        mode: WriteMode,
    ) -> Result<(Box<dyn FileWriter>, u64)> {
        let (inner, fresh) = (&self.inner, || WriteMode::Create(WriteHint::default()));
        let appends = mode == WriteMode::Append;
        let opened = inner.writer(path, mode).await;
        match self.lie {
            Lie::AppendCreates if opened.as_ref().is_err_and(DriverError::is_not_found) => {
                Ok((inner.writer(path, fresh()).await?, 0))
            }
            Lie::AppendStartsOver if appends => {
                let counted = opened?.size();
                Ok((inner.writer(path, fresh()).await?, counted))
            }
            Lie::AppendCountsWhatWasLost if appends => {
                let opened = opened?;
                let counted = self.memory.notes().sizes.get(path).copied().unwrap_or(0);
                let lost = counted.saturating_sub(opened.size());
                Ok((opened, lost))
            }
            _ => Ok((opened?, 0)),
        }
    }
}

/// A file of the right length that holds only zeros.
fn another_file(size_bytes: u64) -> std::io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    file.set_len(size_bytes)?;
    file.flush()?;
    Ok(file)
}
