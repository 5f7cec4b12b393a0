//! `Reader`: reads a bundle from files by seeking, or from a pipe in its order.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_engine::oci::Digest;
use tokio::io::AsyncRead;
use tokio::sync::Mutex;

use crate::bundle::zeros;
use crate::cursor::{Cursor, Pipe};
use crate::faults::Faults;
use crate::header::{self, BLOCK, END, padding};
use crate::layout::{
    HeadEntry, MAX_SIGNATURE_BYTES, OCI_LAYOUT, PLAN, SIGNATURE, content_header, head_entries,
};
use crate::{Bundle, Error, Layout, LeadingFiles, MAX_PLAN_BYTES, PartFiles, Plan, Result};

/// A bundle whose head was read and checked.
#[derive(Clone)]
pub struct Reader {
    bundle: Arc<Bundle>,
    medium: BundleSource,
}

#[derive(Clone)]
enum BundleSource {
    Files(Arc<PartFiles>),
    /// The pipe, and the index of the content after the last one that was begun.
    Pipe(Arc<Mutex<Pipe>>, Arc<Mutex<usize>>),
}

/// Some content of a bundle, which begins at its first byte.
pub struct ContentReader {
    cursor: Cursor,
    entry: String,
    left: u64,
    padding: u64,
}

impl Reader {
    /// Opens the bundle in these files: see [`PartFiles::open`]. Checks the head and the length, not the content.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the bundle is damaged.
    pub async fn open(paths: &[PathBuf]) -> Result<Self> {
        let paths = paths.to_vec();
        let opened = tokio::task::spawn_blocking(move || PartFiles::open(&paths));
        let reader =
            Self::over(opened.await.map_err(|error| Error::Pipe(std::io::Error::other(error)))??).await?;
        if let BundleSource::Files(files) = &reader.medium {
            files.check_len(reader.layout().len_bytes(), &reader.bundle.name())?;
        }
        Ok(reader)
    }

    /// Reads the head of a bundle whose later parts may be missing or damaged.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), as far as the head is concerned.
    pub async fn head_of(paths: &[PathBuf]) -> Result<Bundle> {
        let paths = paths.to_vec();
        let opened = tokio::task::spawn_blocking(move || PartFiles::open_first(&paths));
        let files = opened.await.map_err(|error| Error::Pipe(std::io::Error::other(error)))??;
        Ok(Self::over(files).await?.bundle().clone())
    }

    /// Reads the head of a bundle that may end early behind it.
    pub(crate) async fn over(files: PartFiles) -> Result<Self> {
        let files = Arc::new(files);
        let mut cursor = Cursor::in_files(files.clone(), 0);
        Ok(Self { bundle: Arc::new(read_head(&mut cursor).await?), medium: BundleSource::Files(files) })
    }

    /// Reads the head of a bundle from a pipe.
    ///
    /// # Errors
    ///
    /// When the pipe breaks, or the bundle is damaged.
    pub async fn from_pipe(reader: impl AsyncRead + Send + 'static) -> Result<Self> {
        let reader: Pin<Box<dyn AsyncRead + Send>> = Box::pin(reader);
        let pipe = Arc::new(Mutex::new(Pipe { reader, offset: 0 }));
        let mut cursor = Cursor::Pipe(pipe.clone().lock_owned().await);
        let bundle = Arc::new(read_head(&mut cursor).await?);
        Ok(Self { bundle, medium: BundleSource::Pipe(pipe, Arc::default()) })
    }

    /// The bundle without its content.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.bundle.plan()
    }

    /// The offsets.
    pub fn layout(&self) -> &Layout {
        self.bundle.layout()
    }

    /// The files; `None` for a pipe, which yields content in its order only.
    pub fn files(&self) -> Option<&Arc<PartFiles>> {
        match &self.medium {
            BundleSource::Files(files) => Some(files),
            BundleSource::Pipe(..) => None,
        }
    }

    /// Opens the content with this index. A pipe must be read in order; it passes over what is between.
    ///
    /// # Errors
    ///
    /// When the input cannot be read, or a header differs from the planned one.
    pub async fn content(&self, index: usize) -> Result<ContentReader> {
        let content = &self.plan().contents[index];
        let mut cursor = match &self.medium {
            BundleSource::Files(files) => Cursor::in_files(files.clone(), self.layout().header(index)),
            BundleSource::Pipe(pipe, next) => {
                let mut cursor = Cursor::Pipe(pipe.clone().lock_owned().await);
                let mut next = next.lock().await;
                if index < *next {
                    let problem = "it is needed after the pipe has passed it";
                    return Err(cursor.fault(&content.path(), problem).into());
                }
                self.pass(&mut cursor, *next..index).await?;
                *next = index + 1;
                cursor
            }
        };
        self.open_content(&mut cursor, index).await?;
        Ok(ContentReader {
            cursor,
            entry: content.path(),
            left: content.size_bytes,
            padding: padding(content.size_bytes),
        })
    }

    /// Reads a content as a whole, and compares its digest.
    ///
    /// # Errors
    ///
    /// As [`content`](Self::content); when it is longer than `max_bytes`, or damaged.
    pub async fn read_whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        let planned = &self.plan().contents[index];
        let mut reader = self.content(index).await?;
        if planned.size_bytes > max_bytes {
            let problem = format!("it has {} bytes, more than the limit of {max_bytes}", planned.size_bytes);
            return Err(reader.cursor.fault(&reader.entry, problem).into());
        }
        let (entry, len) = (reader.entry.clone(), reader.left);
        let bytes = reader.cursor.exact(len, &entry).await?;
        reader.left = 0;
        reader.expect_padding().await?;
        match Digest::of(planned.digest.algorithm(), &bytes) {
            actual if actual == planned.digest => Ok(bytes),
            actual => Err(self.wrong_digest(index, &actual).into()),
        }
    }

    /// A fault of the content with this index, whose bytes hash to `actual`.
    pub fn wrong_digest(&self, index: usize, actual: &Digest) -> crate::Fault {
        self.fault(index, hashes_to(actual))
    }

    /// A fault of the content with this index.
    pub fn fault(&self, index: usize, problem: String) -> crate::Fault {
        let content = &self.plan().contents[index];
        let data = self.layout().data(index, content);
        let entry = content.path();
        match &self.medium {
            BundleSource::Files(files) => files.fault_within(&entry, data, problem),
            BundleSource::Pipe(..) => {
                crate::Fault { entry, offset: data.start, file: None, part: None, problem }
            }
        }
    }

    /// Reads a pipe to its end, and checks that nothing follows. Files were checked when they were opened.
    ///
    /// # Errors
    ///
    /// When the pipe breaks, or the bundle is damaged.
    pub async fn finish(&self) -> Result<()> {
        let BundleSource::Pipe(pipe, next) = &self.medium else { return Ok(()) };
        let mut cursor = Cursor::Pipe(pipe.clone().lock_owned().await);
        let mut next = next.lock().await;
        self.pass(&mut cursor, *next..self.plan().contents.len()).await?;
        *next = self.plan().contents.len();
        let end = self.layout().len_bytes() - END;
        cursor.seek(end, "the end").await?;
        cursor.expect(&zeros(END), "the end", "the end marker").await?;
        match cursor.chunk_if_any(1).await?.is_empty() {
            true => Ok(()),
            false => Err(cursor.fault("the end", "bytes follow").into()),
        }
    }

    /// Checks all headers, the padding and the end of files, without reading content.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the bundle is damaged.
    pub async fn check_framing(&self) -> Result<()> {
        let BundleSource::Files(files) = &self.medium else { return Ok(()) };
        let (files, bundle) = (files.clone(), self.bundle.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let mut faults = Faults::default();
            find_framing_faults(&files, &bundle, &mut faults)?;
            faults.into_first().map_or(Ok(()), |fault| Err(Error::Damaged(fault)))
        });
        checked.await.map_err(|error| Error::Pipe(std::io::Error::other(error)))?
    }

    /// Passes over contents, and checks their headers.
    async fn pass(&self, cursor: &mut Cursor, contents: std::ops::Range<usize>) -> Result<()> {
        for index in contents {
            self.open_content(cursor, index).await?;
        }
        Ok(())
    }

    /// Goes to a content and checks its header.
    async fn open_content(&self, cursor: &mut Cursor, index: usize) -> Result<()> {
        let content = &self.plan().contents[index];
        let entry = content.path();
        cursor.seek(self.layout().header(index), &entry).await?;
        cursor.expect(&content_header(content), &entry, "its header").await
    }
}

impl ContentReader {
    /// The next bytes; `None` at the end, once the padding was checked.
    ///
    /// # Errors
    ///
    /// When the input cannot be read, or ends early.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            self.expect_padding().await?;
            return Ok(None);
        }
        let chunk = self.cursor.chunk(self.left, &self.entry).await?;
        self.left -= chunk.len() as u64;
        Ok(Some(chunk))
    }

    /// The bytes as a stream. It compares no digest: the receiver does.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        let next = |mut reader: Self| async move {
            let chunk = reader.chunk().await?;
            Ok(chunk.map(|chunk| (chunk, reader)))
        };
        stream::try_unfold(self, next).boxed()
    }

    async fn expect_padding(&mut self) -> Result<()> {
        let padding = std::mem::take(&mut self.padding);
        self.cursor.expect(&zeros(padding), &self.entry, "its padding").await
    }
}

pub(crate) fn hashes_to(actual: &Digest) -> String {
    format!("its content hashes to {actual}")
}

/// Finds the faults of everything between the contents.
pub(crate) fn find_framing_faults(files: &PartFiles, bundle: &Bundle, faults: &mut Faults) -> Result<()> {
    let (plan, layout) = (bundle.plan(), bundle.layout());
    let mut check = |offset: u64, expected: &[u8], entry: &str, what: &str| {
        let mut actual = [0; 3 * BLOCK as usize];
        let actual = &mut actual[..expected.len()];
        let filled = files.fill(offset, actual)?;
        if filled < expected.len() || actual != expected {
            faults.add(|| files.fault(entry, offset, format!("{what} is not the planned one")));
        }
        Ok::<_, Error>(())
    };
    for (index, content) in plan.contents.iter().enumerate() {
        let entry = content.path();
        check(layout.header(index), &content_header(content), &entry, "its header")?;
        let (data, padding) = (layout.data(index, content), padding(content.size_bytes));
        if padding > 0 {
            check(data.end, &zeros(padding), &entry, "its padding")?;
        }
    }
    check(layout.len_bytes() - END, &zeros(END), "the end", "the end marker")
}

/// Whether a file that begins like this was compressed by gzip or zstd.
pub fn is_compressed(first: &[u8]) -> bool {
    first.starts_with(&[0x1f, 0x8b]) || first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

async fn read_head(cursor: &mut Cursor) -> Result<Bundle> {
    let (name, content) = OCI_LAYOUT;
    let first =
        cursor.exact(BLOCK, name).await.map_err(|_| Error::NotABundle("it is shorter than a tar file"))?;
    if is_compressed(&first) {
        return Err(Error::NotABundle("it is compressed, which only an import takes: decompress it first"));
    }
    if first != header::file(name, content.len() as u64) {
        return Err(Error::NotABundle("its first entry is not the `oci-layout` of a bundle"));
    }
    cursor.expect(content, name, "its content").await?;
    cursor.expect(&zeros(padding(content.len() as u64)), name, "its padding").await?;
    let start = cursor.offset();
    let size = size_of(cursor, PLAN).await?;
    let Some(size) = size.filter(|size| *size <= MAX_PLAN_BYTES) else {
        return Err(Error::NotABundle(
            "its second entry is not `bundle.json`; of other image layouts, `registry import` reads the images",
        ));
    };
    debug_assert_eq!(cursor.offset(), start + BLOCK);
    let json = cursor.exact(size, PLAN).await?;
    cursor.expect(&zeros(padding(size)), PLAN, "its padding").await?;
    let plan = Plan::decode(&json)?;
    let (signature, mut header) = read_signature(cursor).await?;

    let mut files = Vec::new();
    let signature_len = signature.as_ref().map(|signature| signature.len() as u64);
    for entry in head_entries(&plan, size, signature_len) {
        match entry {
            HeadEntry::File { name: PLAN | SIGNATURE, .. } => {}
            HeadEntry::File { name, .. } if name == OCI_LAYOUT.0 => {}
            HeadEntry::File { name, size_bytes } => {
                let actual = match header.take() {
                    Some(header) => header,
                    None => cursor.exact(BLOCK, name).await?,
                };
                if actual != header::file(name, size_bytes) {
                    let start = cursor.offset() - BLOCK;
                    return Err(cursor.fault_at(name, start, "its header is not the planned one").into());
                }
                files.push(read_file(cursor, &plan, files.len(), name).await?);
            }
            HeadEntry::Directory(name) => {
                cursor.expect(&header::directory(&name), &name, "its header").await?;
            }
        }
    }
    Ok(Bundle::of(plan, LeadingFiles { plan: json, signature, files })?)
}

/// Reads the signature if there is one, and the header behind it.
async fn read_signature(cursor: &mut Cursor) -> Result<(Option<Bytes>, Option<Bytes>)> {
    let header = cursor.exact(BLOCK, SIGNATURE).await?;
    let array: Option<&[u8; BLOCK as usize]> = header.as_ref().try_into().ok();
    let size = array.and_then(|header| header::size_of(SIGNATURE, header));
    let Some(size) = size.filter(|size| *size <= MAX_SIGNATURE_BYTES) else {
        return Ok((None, Some(header)));
    };
    let signature = cursor.exact(size, SIGNATURE).await?;
    cursor.expect(&zeros(padding(size)), SIGNATURE, "its padding").await?;
    Ok((Some(signature), None))
}

async fn read_file(cursor: &mut Cursor, plan: &Plan, place: usize, name: &str) -> Result<Bytes> {
    let planned = &plan.files[place];
    let start = cursor.offset();
    if planned.size_bytes > MAX_PLAN_BYTES {
        return Err(cursor.fault(name, "it is too long").into());
    }
    let content = cursor.exact(planned.size_bytes, name).await?;
    cursor.expect(&zeros(padding(planned.size_bytes)), name, "its padding").await?;
    match Digest::of(planned.digest.algorithm(), &content) {
        actual if actual == planned.digest => Ok(content),
        actual => Err(cursor.fault_at(name, start, hashes_to(&actual)).into()),
    }
}

async fn size_of(cursor: &mut Cursor, name: &str) -> Result<Option<u64>> {
    let header = cursor.exact(BLOCK, name).await?;
    let array: Option<&[u8; BLOCK as usize]> = header.as_ref().try_into().ok();
    Ok(array.and_then(|header| header::size_of(name, header)))
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentReader")
            .field("entry", &self.entry)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
