//! `Archive`: the entries of a foreign file that have a meaning, and where their bytes are.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sampan_bundle::PartFiles;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use tar::EntryType;

use crate::entry_name::{EntryName, Meaning};
use crate::extent::{ByteSource, Extent};
use crate::tar_walk::{SPARSE, Tape, TarEntry, TarWalk};
use crate::{Error, Result};

/// The most entries with a meaning: about as many as a plan of ours can have.
const MAX_ENTRIES: usize = 2_000_000;

/// The entries of a tar file, or the files of a directory.
#[derive(Debug)]
pub(crate) enum Archive {
    Tar {
        /// One tar file, or several that follow each other.
        media: Vec<ByteSource>,
        entries: Entries,
    },
    /// Its files are looked up when they are needed.
    Directory(PathBuf),
}

/// The entries of a tar file.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    places: HashMap<EntryName, EntryData>,
    /// The index of the tar file that is read.
    medium: usize,
    /// How many entries have no meaning.
    pub(crate) unknown: u64,
}

/// The data of an entry.
#[derive(Clone, Copy, Debug)]
struct EntryData {
    /// The index of its tar file.
    medium: usize,
    offset: u64,
    size_bytes: u64,
}

/// The treatment of an entry.
pub(crate) enum Verdict {
    Keep(EntryName),
    Pass,
}

impl Entries {
    /// Judges an entry by its name and kind.
    ///
    /// # Errors
    ///
    /// `Damaged` when no archive of images has such an entry.
    pub(crate) fn judge(&mut self, entry: &TarEntry) -> Result<Verdict> {
        let damaged = |problem: &str| Error::Damaged {
            entry: String::from_utf8_lossy(&entry.name).into_owned(),
            offset: Some(entry.header),
            problem: problem.to_owned(),
        };
        let meaning = EntryName::parse(&entry.name).map_err(damaged)?;
        match entry.kind {
            EntryType::Directory => return Ok(Verdict::Pass),
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Symlink | EntryType::Link => {
                return match &meaning {
                    // The layer is found by its digest instead.
                    Meaning::Known(name) if name.may_be_link() => Ok(Verdict::Pass),
                    _ => Err(damaged("it is a link, and links are not followed")),
                };
            }
            EntryType::GNUSparse => return Err(damaged(SPARSE)),
            _ => return Err(damaged("it is neither a file nor a directory")),
        }
        match meaning {
            Meaning::Known(name) => match self.places.get(&name) {
                Some(place) if place.medium != self.medium => Err(Error::InSeveral(name.to_string())),
                Some(_) => Err(damaged("it is there twice")),
                None if self.places.len() >= MAX_ENTRIES => {
                    Err(damaged(&format!("the archive has more than {MAX_ENTRIES} files")))
                }
                None => Ok(Verdict::Keep(name)),
            },
            Meaning::Plan => Err(damaged(
                "it is the plan of a bundle, and the file does not begin like one: it was damaged, or packed again; copy \
                 it again",
            )),
            Meaning::Legacy => Ok(Verdict::Pass),
            Meaning::Unknown => {
                self.unknown += 1;
                Ok(Verdict::Pass)
            }
        }
    }

    pub(crate) fn add(&mut self, name: EntryName, offset: u64, size_bytes: u64) {
        self.places.insert(name, EntryData { medium: self.medium, offset, size_bytes });
    }
}

impl Archive {
    /// Scans the headers of tar files, each of which has some of the entries.
    ///
    /// # Errors
    ///
    /// `Damaged` when one is no archive of images, or damaged; when one cannot be read.
    pub(crate) fn scan(archives: Vec<Arc<PartFiles>>) -> Result<Self> {
        let mut entries = Entries::default();
        for (medium, files) in archives.iter().enumerate() {
            entries.medium = medium;
            let mut walk = TarWalk::new(FilesTape { files: files.clone(), offset: 0 });
            while let Some(entry) = walk.next()? {
                if let Verdict::Keep(name) = entries.judge(&entry)? {
                    entries.add(name, entry.data, entry.size_bytes);
                }
            }
        }
        Ok(Self::Tar { media: archives.into_iter().map(ByteSource::Parts).collect(), entries })
    }

    /// The entries of a tar file whose data were copied to a temporary file in `directory`.
    pub(crate) fn spooled(file: File, directory: &Path, entries: Entries) -> Self {
        Self::Tar { media: vec![ByteSource::Spool(Arc::new(file), directory.into())], entries }
    }

    /// An entry; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When the file of a directory is a link or cannot be opened.
    pub(crate) fn find(&self, name: &EntryName) -> Result<Option<Extent>> {
        let shown = name.to_string();
        match self {
            Self::Tar { media, entries } => Ok(entries.places.get(name).map(|place| Extent {
                medium: media[place.medium].clone(),
                offset: place.offset,
                size_bytes: place.size_bytes,
                entry: shown.into(),
            })),
            Self::Directory(path) => Extent::in_directory(path.join(&shown), &shown),
        }
    }

    /// The links of a registry's data directory, in no order.
    pub(crate) fn store_entries(&self) -> impl Iterator<Item = &Entry> {
        let names = match self {
            Self::Tar { entries, .. } => Some(entries.places.keys()),
            Self::Directory(_) => None,
        };
        names.into_iter().flatten().filter_map(|name| match name {
            EntryName::Store(entry) => Some(entry),
            _ => None,
        })
    }

    pub(crate) fn has(&self, name: &EntryName) -> Result<bool> {
        Ok(self.find(name)?.is_some())
    }

    /// The content with this digest.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Option<Extent>> {
        self.find(&EntryName::Blob(digest.clone()))
    }

    /// A document as a whole.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find); `Damaged` when it is longer than `max_bytes`.
    pub(crate) fn document(&self, name: &EntryName, max_bytes: u64) -> Result<Option<Bytes>> {
        self.find(name)?.map(|extent| extent.read_whole(max_bytes)).transpose()
    }

    /// How many files have content, or none that is known. 0 for a directory, which is not listed.
    pub(crate) fn file_count(&self) -> u64 {
        match self {
            Self::Tar { entries, .. } => {
                let contents = entries.places.keys().filter(|name| name.is_content()).count();
                entries.unknown + contents as u64
            }
            Self::Directory(_) => 0,
        }
    }
}

/// A tar file that is read by offset.
struct FilesTape {
    files: Arc<PartFiles>,
    offset: u64,
}

impl Tape for FilesTape {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let filled = self.files.fill(self.offset, buffer)?;
        self.offset += filled as u64;
        Ok(filled)
    }

    fn skip(&mut self, len: u64) -> Result<bool> {
        let target = self.offset.checked_add(len).filter(|target| *target <= self.files.len_bytes());
        self.offset = target.unwrap_or(self.offset);
        Ok(target.is_some())
    }
}
