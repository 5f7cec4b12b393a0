//! Opens an input and recognises its form by its content.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sampan_bundle::{PartFiles, Reader, group_parts};

use crate::archive::Archive;
use crate::bridge::bridge;
use crate::compression::Compression;
use crate::image_name::HostPolicy;
use crate::reader::{ForeignReader, Notice};
use crate::spool::{directory, spool};
use crate::tar_walk::{self, BLOCK};
use crate::unreadable::UnreadablePolicy;
use crate::{Error, NameRule, Result};

/// The input to open.
pub enum Input {
    /// A file, the parts of one, or a directory.
    Paths(Vec<PathBuf>),
    /// A stream that is read once.
    Stream(Box<dyn Read + Send>),
}

/// How foreign images get their names.
#[derive(Clone, Debug, Default)]
pub struct ForeignOptions {
    /// Names for images that have none.
    pub rules: Vec<NameRule>,
    /// The treatment of the host of a name.
    pub hosts: HostPolicy,
    /// The treatment of an image of a data directory that cannot be read.
    pub unreadable: UnreadablePolicy,
}

/// An opened input: a bundle, or a file of another tool.
#[derive(Debug)]
pub enum OpenedFile {
    /// A bundle of ours.
    Bundle(Reader),
    /// A file of another tool.
    Foreign(Box<ForeignReader>),
}

/// Enough of a file to recognise it: `oci-layout` with its header, and the header of `bundle.json`.
const HEAD: usize = 3 * BLOCK as usize;

/// The longest padding behind the end marker of a compressed tar file, in bytes; tar writes 10 KiB or less.
const MAX_PADDING_BYTES: u64 = 64 << 20;

/// Opens an input; `notify` gets what the user should know before the input was read.
///
/// # Errors
///
/// When the input has none of the known forms, is damaged, lacks content that its images need, or its images lack names; when
/// it cannot be read.
pub async fn open(input: Input, options: ForeignOptions, notify: fn(&Notice)) -> Result<OpenedFile> {
    let opening = tokio::task::spawn_blocking(move || open_blocking(input, options, notify));
    let opened = opening.await.map_err(|error| Error::Input(std::io::Error::other(error)))??;
    Ok(match opened {
        Recognised::BundleFiles(paths) => OpenedFile::Bundle(Reader::open(&paths).await?),
        Recognised::BundleStream(stream) => OpenedFile::Bundle(Reader::from_pipe(bridge(stream)).await?),
        Recognised::Foreign(reader) => OpenedFile::Foreign(reader),
    })
}

enum Recognised {
    BundleFiles(Vec<PathBuf>),
    BundleStream(Box<dyn Read + Send>),
    Foreign(Box<ForeignReader>),
}

fn open_blocking(input: Input, options: ForeignOptions, notify: fn(&Notice)) -> Result<Recognised> {
    let foreign = |archive: &Archive, what: &str| {
        ForeignReader::over(archive, &options, what).map(|reader| Recognised::Foreign(Box::new(reader)))
    };
    match input {
        Input::Paths(paths) => match &paths[..] {
            [path] if path.is_dir() => {
                refuse_data_directory(path)?;
                foreign(&Archive::Directory(path.clone()), &path.display().to_string())
            }
            _ if group_parts(&paths).len() > 1 => {
                let what = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
                foreign(&Archive::scan(tar_files(&paths)?)?, &what)
            }
            _ => {
                let files = Arc::new(PartFiles::open(&paths)?);
                let mut head = [0; HEAD];
                let filled = files.fill(0, &mut head)?;
                let what = files.path().display().to_string();
                match Form::of(&head[..filled], &what)? {
                    Form::Bundle => Ok(Recognised::BundleFiles(paths)),
                    Form::Tar => foreign(&Archive::scan(vec![files])?, &what),
                    Form::Compressed(compression) => {
                        let stream = Box::new(FilesStream { files, offset: 0 });
                        decoded(stream, compression, &what, notify, foreign)
                    }
                }
            }
        },
        Input::Stream(stream) => {
            let what = "standard input";
            let (head, mut stream) = peek(stream)?;
            match Form::of(&head, what)? {
                Form::Bundle => Ok(Recognised::BundleStream(stream)),
                Form::Tar => {
                    notify(&Notice::Spooling { directory: directory() });
                    foreign(&spool(&mut stream)?, what)
                }
                Form::Compressed(compression) => decoded(stream, compression, what, notify, foreign),
            }
        }
    }
}

/// Several whole tar files, as oc-mirror writes them.
fn tar_files(paths: &[PathBuf]) -> Result<Vec<Arc<PartFiles>>> {
    let mut archives = Vec::new();
    for parts in group_parts(paths) {
        let files = Arc::new(PartFiles::open(&parts)?);
        let mut head = [0; HEAD];
        let filled = files.fill(0, &mut head)?;
        match Form::of(&head[..filled], &files.path().display().to_string())? {
            Form::Tar => archives.push(files),
            Form::Bundle | Form::Compressed(_) => {
                // Names the reason.
                PartFiles::open(paths)?;
            }
        }
    }
    Ok(archives)
}

/// Refuses the data directory of a registry, which a store driver reads better.
fn refuse_data_directory(path: &Path) -> Result<()> {
    let absolute = std::path::absolute(path).map_err(Error::file(path))?;
    // Without a slash at its end.
    let path: PathBuf = absolute.components().collect();
    let below = ["docker/registry/v2", "registry/v2", "v2/repositories"];
    match below.iter().position(|below| path.join(below).is_dir()) {
        Some(up) => Err(Error::DataDirectory(path.ancestors().nth(up).unwrap_or(&path).to_owned())),
        None => Ok(()),
    }
}

fn decoded(
    stream: Box<dyn Read + Send>,
    compression: Compression,
    what: &str,
    notify: fn(&Notice),
    foreign: impl FnOnce(&Archive, &str) -> Result<Recognised>,
) -> Result<Recognised> {
    let (head, mut stream) = peek(Box::new(compression.decoder(stream)))?;
    match Form::of(&head, what)? {
        Form::Bundle => Ok(Recognised::BundleStream(stream)),
        Form::Tar => {
            notify(&Notice::Spooling { directory: directory() });
            let archive = spool(&mut stream)?;
            read_padding(stream)?;
            foreign(&archive, what)
        }
        Form::Compressed(_) => {
            Err(Error::Unrecognised { what: what.to_owned(), why: Some("it is compressed twice") })
        }
    }
}

/// The form of a file.
enum Form {
    Bundle,
    Tar,
    Compressed(Compression),
}

impl Form {
    fn of(head: &[u8], what: &str) -> Result<Self> {
        if let Some(compression) = Compression::of_input(head)? {
            return Ok(Self::Compressed(compression));
        }
        let second = head.get(2 * BLOCK as usize..).unwrap_or_default();
        match (head.starts_with(b"oci-layout\0"), second.starts_with(b"bundle.json\0")) {
            (true, true) => Ok(Self::Bundle),
            _ if tar_walk::is_header(head) => Ok(Self::Tar),
            _ => {
                let why = head.is_empty().then_some("it is empty");
                Err(Error::Unrecognised { what: what.to_owned(), why })
            }
        }
    }
}

/// The first bytes of a stream, and the stream with them.
fn peek(mut stream: Box<dyn Read + Send>) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    (&mut stream).take(HEAD as u64).read_to_end(&mut head).map_err(Error::input)?;
    let whole = Cursor::new(head.clone()).chain(stream);
    Ok((head, Box::new(whole)))
}

/// Reads what follows the end marker of a decoded tar file, and so its checksums: no digest protects the names of images.
fn read_padding(stream: impl Read) -> Result<()> {
    let padding = std::io::copy(&mut stream.take(MAX_PADDING_BYTES + 1), &mut std::io::sink());
    match padding.map_err(Error::input)? {
        ..=MAX_PADDING_BYTES => Ok(()),
        _ => {
            let problem = format!("more than {MAX_PADDING_BYTES} bytes are behind the end of the tar file");
            Err(Error::damaged("the archive", problem))
        }
    }
}

/// The files of a split or whole tar file, from the first byte to the last.
struct FilesStream {
    files: Arc<PartFiles>,
    offset: u64,
}

impl Read for FilesStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self
            .files
            .read_at(self.offset, buffer)
            .map_err(|error| std::io::Error::other(Error::from(error)))?;
        self.offset += read as u64;
        Ok(read)
    }
}
