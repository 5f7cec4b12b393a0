//! A whole storage driver in one page, and the suite run on it: `cargo run -p sampan-conformance --example tiny_driver`.
//!
//! It shows what a driver has to say, not how to say it fast: it copies, and it holds one lock for everything.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_conformance::Fixture;
use sampan_driver::*;

fn main() -> ExitCode {
    sampan_conformance::run(Fixture::shared(|| Arc::new(TinyDriver::default())))
}

#[derive(Clone, Debug, Default)]
struct TinyDriver(Arc<Mutex<Files>>);

/// The published files, and the staged ones with their notes.
#[derive(Debug, Default)]
struct Files(BTreeMap<DriverPath, (Bytes, SystemTime)>, BTreeMap<DriverPath, (Vec<u8>, Bytes)>);

impl TinyDriver {
    fn files<T>(&self, look: impl FnOnce(&mut Files) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn find(&self, path: &DriverPath, operation: Operation) -> Result<(Bytes, SystemTime)> {
        let found = self.files(|files| files.0.get(path).cloned());
        found.ok_or_else(|| DriverError::new(ErrorKind::NotFound, self.name(), operation, path))
    }
}

#[async_trait]
impl StorageDriver for TinyDriver {
    fn name(&self) -> &'static str {
        "tiny"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_rename: true, durable: false, flat: true, redirect: false, read_only: None }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        Ok(self.find(path, Operation::GetContent)?.0)
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.files(|files| match mode {
            _ if path.is_root() => Err(ErrorKind::Unsupported),
            PutMode::Create if files.0.contains_key(path) => Err(ErrorKind::AlreadyExists),
            _ => Ok(_ = files.0.insert(path.clone(), (content, SystemTime::now()))),
        })
        .map_err(|kind| DriverError::new(kind, self.name(), Operation::PutContent, path))
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        put_one_by_one(self, files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let (content, _) = self.find(path, Operation::Reader)?;
        let size = content.len() as u64;
        let beyond = || DriverError::new(ErrorKind::RangeInvalid, self.name(), Operation::Reader, path);
        let range = range.resolve(size).ok_or_else(beyond)?;
        let bytes = content.slice(range.start as usize..range.end as usize);
        Ok(FileReader::new(size, range, stream::iter([Ok(bytes)]).boxed()))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let staged = self.files(|files| match mode {
            WriteMode::Create(_) => {
                files.1.remove(path);
                Some((Vec::new(), Bytes::new()))
            }
            WriteMode::Append => files.1.get(path).cloned(),
        });
        let missing = || DriverError::new(ErrorKind::NotFound, self.name(), Operation::Writer, path);
        let (bytes, note) = staged.ok_or_else(missing)?;
        Ok(Box::new(TinyWriter { driver: self.clone(), path: path.clone(), bytes, note }))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let (content, modified) = self.find(path, Operation::Stat)?;
        Ok(FileInfo { path: path.clone(), size_bytes: content.len() as u64, modified })
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        let below = self.files(|files| {
            Vec::from_iter(files.0.keys().filter_map(|file| file.below(path).map(str::to_owned)))
        });
        let entries: BTreeMap<String, DirEntry> = below
            .iter()
            .map(|below| match below.split_once('/') {
                Some((name, _)) => (name.to_owned(), DirEntry::Directory(name.to_owned())),
                None => (below.clone(), DirEntry::File(below.clone())),
            })
            .collect();
        let after = after.unwrap_or_default().to_owned();
        stream::iter(entries.into_values().filter(move |entry| entry.name() > after.as_str()).map(Ok)).boxed()
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        walk_fallback(Arc::new(self.clone()), path, after)
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let renamed = self.files(|files| {
            let (content, _) = files.0.remove(from)?;
            Some(files.0.insert(to.clone(), (content, SystemTime::now())))
        });
        renamed
            .map(drop)
            .ok_or_else(|| DriverError::new(ErrorKind::NotFound, self.name(), Operation::Rename, from))
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.files(|files| (files.0.remove(path), files.1.remove(path)));
        Ok(())
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.files(|files| {
            files.0.retain(|file, _| !file.starts_with(path));
            files.1.retain(|file, _| !file.starts_with(path));
        });
        Ok(())
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        let driver = self.clone();
        paths
            .map(move |path| {
                if until.has_passed() {
                    let late = DriverError::new(ErrorKind::TooLate, "tiny", Operation::DeleteAll, &path);
                    return (path, Err(late));
                }
                driver.files(|files| (files.0.remove(&path), files.1.remove(&path)));
                (path, Ok(()))
            })
            .boxed()
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        _ = paths; // There is no power failure that memory survives.
        Ok(())
    }

    async fn check(&self) -> Result<Condition> {
        Ok(Condition::Writable)
    }

    async fn redirect_url(&self, _: &DriverPath, _: RedirectRequest) -> Result<Option<url::Url>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct TinyWriter {
    driver: TinyDriver,
    path: DriverPath,
    bytes: Vec<u8>,
    note: Bytes,
}

#[async_trait]
impl FileWriter for TinyWriter {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn note(&self) -> Option<Bytes> {
        (!self.note.is_empty()).then(|| self.note.clone())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        let size = self.size();
        let Self { driver, path, bytes, .. } = *self;
        driver.files(|files| files.1.insert(path, (bytes, note)));
        Ok(size)
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.driver.put_content(to, self.bytes.into(), PutMode::Overwrite).await?;
        self.driver.files(|files| files.1.remove(&self.path));
        Ok(())
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.driver.files(|files| files.1.remove(&self.path));
        Ok(())
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        Ok(()) // What was written is with the writer until it is closed.
    }
}
