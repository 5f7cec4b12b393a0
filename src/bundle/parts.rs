//! `PartFiles`: the files of a bundle, read by offset as if they were one.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sampan_engine::oci::Digest;

use crate::part_names::{find, numbered, of_one_bundle, part_name};
use crate::{Error, Fault, PartSum, Result};

/// The file of a bundle, or the files of a split one.
#[derive(Debug)]
pub struct PartFiles {
    /// By index.
    files: BTreeMap<u64, PartFile>,
    /// The length of every part but the last; `None` for one file.
    part_bytes: Option<u64>,
    /// The path without the number.
    path: PathBuf,
}

#[derive(Debug)]
struct PartFile {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
}

impl PartFiles {
    /// Opens a bundle: its file, its path without the numbers of its parts, one of them, or all of them in any order.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened, or the files are not parts of one bundle.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let parts = Self::open_first(paths)?;
        parts.check_parts().map(|()| parts)
    }

    /// Opens what is there, if that begins with the first part.
    pub(crate) fn open_first(paths: &[PathBuf]) -> Result<Self> {
        let numbered: Vec<_> = paths.iter().map(|path| numbered(path)).collect();
        let (path, parts) = match (paths, &numbered[..]) {
            ([path], [None]) if path.exists() => {
                let file = PartFile::open(path)?;
                return Ok(Self { files: BTreeMap::from([(0, file)]), part_bytes: None, path: path.clone() });
            }
            ([path], [None]) => (path.clone(), find(path)?),
            ([_], [Some((path, _))]) => (path.clone(), find(path)?),
            _ => of_one_bundle(paths, &numbered)?,
        };
        let opened = parts.into_iter().map(|(number, path)| Ok((number - 1, PartFile::open(&path)?)));
        let files = opened.collect::<Result<BTreeMap<_, _>>>()?;
        match files.get(&0) {
            Some(first) => Ok(Self { part_bytes: Some(first.len.max(1)), files, path }),
            None if files.is_empty() => {
                // The error names the file that the user named.
                let file = PartFile::open(&path)?;
                Ok(Self { files: BTreeMap::from([(0, file)]), part_bytes: None, path })
            }
            None => Err(Error::PartMissing { path: part_name(&path, 1, 1), count: None }),
        }
    }

    /// Checks that no part before the last one is missing or of another length than the first.
    fn check_parts(&self) -> Result<()> {
        let Some(expected) = self.part_bytes else { return Ok(()) };
        let last = self.files.keys().next_back().copied().unwrap_or_default();
        for index in 0..last {
            match self.files.get(&index) {
                None => {
                    return Err(Error::PartMissing {
                        path: part_name(&self.path, index + 1, last + 1),
                        count: None,
                    });
                }
                Some(part) if part.len != expected => return Err(part.wrong_len(expected, None)),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Opens files that follow each other, the last of which may be shorter than `part_bytes`.
    pub(crate) fn in_order(paths: &[PathBuf], part_bytes: Option<u64>) -> Result<Self> {
        let opened = (0..).zip(paths).map(|(index, path)| Ok((index, PartFile::open(path)?)));
        let files = opened.collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Self { files, part_bytes, path: paths.first().cloned().unwrap_or_default() })
    }

    /// The length of the files together.
    pub fn len_bytes(&self) -> u64 {
        self.files.values().map(|part| part.len).sum()
    }

    /// The path of the file, without the number of a part.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files in their order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.values().map(|part| part.path.as_path())
    }

    /// Checks that all parts are there and have the right length, for a bundle of `len` bytes with this name.
    ///
    /// # Errors
    ///
    /// The first part that is missing or of another length; a fault where one file ends too early or too late.
    pub fn check_len(&self, len: u64, name: &Digest) -> Result<()> {
        let Some(part_bytes) = self.part_bytes else {
            let actual = self.len_bytes();
            let problem = match actual {
                actual if actual < len => format!("the file ends here, {} bytes too early", len - actual),
                actual if actual > len => {
                    format!("the file continues for {} bytes after its end", actual - len)
                }
                _ => return Ok(()),
            };
            return Err(self.fault("the end", actual.min(len), problem).into());
        };
        let count = len.div_ceil(part_bytes);
        for index in 0..count {
            let expected = (len - index * part_bytes).min(part_bytes);
            match self.files.get(&index) {
                None => {
                    let path = part_name(&self.path, index + 1, count);
                    return Err(Error::PartMissing { path, count: Some(count) });
                }
                Some(part) if part.len != expected => return Err(part.wrong_len(expected, Some(name))),
                Some(_) => {}
            }
        }
        match self.files.range(count..).next() {
            Some((_, part)) => Err(part.wrong_len(0, Some(name))),
            None => Ok(()),
        }
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    ///
    /// When a part is missing or cannot be read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let (index, within) = self.locate(offset);
        let Some(part) = self.files.get(&index) else {
            return match self.files.range(index..).next() {
                Some(_) => Err(Error::PartMissing { path: part_name(&self.path, index + 1, 1), count: None }),
                None => Ok(0),
            };
        };
        let room = self.part_bytes.map_or(u64::MAX, |len| len - within);
        let len = buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        loop {
            match part.file.read_at(&mut buffer[..len], within) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return read.map_err(Error::file(&part.path)),
            }
        }
    }

    /// Reads until the buffer is full or the files end; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at).
    pub fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(offset + filled as u64, &mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// The file that has all these bytes, and their range in it; `None` if they reach over several parts.
    pub fn contiguous(&self, range: &Range<u64>) -> Option<(Arc<File>, Range<u64>)> {
        let (index, start) = self.locate(range.start);
        let len = range.end.checked_sub(range.start)?;
        let part = self.files.get(&index)?;
        let end = start.checked_add(len).filter(|end| *end <= part.len)?;
        Some((part.file.clone(), start..end))
    }

    /// Checks that the paths still lead to the files that were opened, and that these have their length.
    ///
    /// # Errors
    ///
    /// The first file that is gone, was replaced, or has another length.
    pub fn check_unchanged(&self) -> Result<()> {
        for part in self.files.values() {
            let found = std::fs::metadata(&part.path).map_err(Error::file(&part.path))?;
            let opened = part.file.metadata().map_err(Error::file(&part.path))?;
            let changed = |what| Err(Error::file(&part.path)(std::io::Error::other(what)));
            if (found.dev(), found.ino()) != (opened.dev(), opened.ino()) {
                return changed("it was replaced since it was opened");
            }
            if opened.len() != part.len {
                return changed("it has another length than when it was opened");
            }
        }
        Ok(())
    }

    /// A fault at an offset of the bundle.
    pub(crate) fn fault(&self, entry: &str, offset: u64, problem: impl Into<String>) -> Fault {
        let part = self.part_bytes.and_then(|_| self.files.get(&self.locate(offset).0));
        let part = part.map(|part| part.path.clone());
        let file = Some(self.path.as_path().into());
        Fault { entry: entry.to_owned(), offset, file, part, problem: problem.into() }
    }

    /// A fault somewhere in a range of the bundle, which may reach over several parts.
    pub(crate) fn fault_within(&self, entry: &str, range: Range<u64>, problem: String) -> Fault {
        let (first, last) = (self.locate(range.start).0, self.locate(range.end.saturating_sub(1)).0);
        let problem = match self.files.get(&last).filter(|_| first < last) {
            Some(last) => format!(
                "{problem}; it reaches to {}, and the checksums in {} tell which part is bad",
                last.path.display(),
                PartSum::file(&self.path).display()
            ),
            None => problem,
        };
        self.fault(entry, range.start, problem)
    }

    /// The index of the part with this offset, and the offset in it.
    fn locate(&self, offset: u64) -> (u64, u64) {
        match self.part_bytes {
            Some(len) => (offset / len, offset % len),
            None => (0, offset),
        }
    }
}

impl PartFile {
    fn open(path: &Path) -> Result<Self> {
        // Opening a named pipe waits for its writer.
        let kind = std::fs::metadata(path).map_err(Error::file(path))?.file_type();
        if kind.is_dir() {
            return Err(Error::NotABundle("it is a directory; a bundle is a file"));
        }
        if !kind.is_file() {
            return Err(Error::NotABundle("it is not a file; a bundle is one, or a pipe (`-`)"));
        }
        let file = File::open(path).map_err(Error::file(path))?;
        let metadata = file.metadata().map_err(Error::file(path))?;
        // Advice may fail.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        Ok(Self { path: path.to_owned(), file: Arc::new(file), len: metadata.len() })
    }

    fn wrong_len(&self, expected: u64, name: Option<&Digest>) -> Error {
        Error::PartLength { path: self.path.clone(), expected, actual: self.len, name: name.cloned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_one_part_are_contiguous() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("b.tar.001"), [1; 100]).unwrap();
        std::fs::write(path("b.tar.002"), [2; 50]).unwrap();
        let parts = PartFiles::open(&[path("b.tar")]).unwrap();
        let range = |range: Range<u64>| parts.contiguous(&range).map(|(_, range)| range);
        assert_eq!(range(10..100), Some(10..100));
        assert_eq!(range(100..150), Some(0..50));
        assert_eq!(range(110..120), Some(10..20));
        assert_eq!(range(99..101), None);
        assert_eq!(range(140..151), None);
    }

    #[test]
    fn parts_of_two_bundles_under_one_name_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["b.tar.001", "b.tar.002", "b.tar.0002"] {
            std::fs::write(path(name), [1; 100]).unwrap();
        }
        for name in ["b.tar", "b.tar.001"] {
            let error = PartFiles::open(&[path(name)]).unwrap_err();
            assert!(error.to_string().contains("a part is there twice"), "{error}");
        }
        PartFiles::open(&[path("b.tar.001"), path("b.tar.002")]).unwrap();
    }

    #[test]
    fn files_that_were_replaced_cut_or_removed_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.tar");
        std::fs::write(&path, [1; 100]).unwrap();
        let parts = PartFiles::open(std::slice::from_ref(&path)).unwrap();
        parts.check_unchanged().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(99).unwrap();
        assert!(parts.check_unchanged().unwrap_err().to_string().contains("another length"));
        std::fs::write(directory.path().join("other"), [1; 100]).unwrap();
        std::fs::rename(directory.path().join("other"), &path).unwrap();
        assert!(parts.check_unchanged().unwrap_err().to_string().contains("replaced"));
        std::fs::remove_file(&path).unwrap();
        assert!(parts.check_unchanged().unwrap_err().to_string().contains("b.tar"));
    }
}
