//! `TarWalk`: the entries of a tar file, one after the other.
//!
//! Headers are parsed by the crate `tar`; the walk is our own, since a hostile archive must not choose how much memory an
//! extended header takes, and an entry must have one length: the header's and that of its extended header agree, or the archive
//! is refused (RUSTSEC-2026-0068 is about readers that disagree).

use tar::{EntryType, Header, PaxExtensions};

use crate::{Error, Result};

/// The unit of a tar file, in bytes.
pub(crate) const BLOCK: u64 = 512;

/// The most bytes of extended headers (long names, PAX records) before an entry.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// The source of a tar file.
pub(crate) trait Tape {
    /// Reads until the buffer is full or the tape ends; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Goes forward; `false` if the tape ends before.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    fn skip(&mut self, len: u64) -> Result<bool>;
}

/// An entry: a file of the archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TarEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryType,
    /// The length of its data.
    pub(crate) size_bytes: u64,
    /// The offset of its header in the archive.
    pub(crate) header: u64,
    /// The offset of its data in the archive.
    pub(crate) data: u64,
}

/// A walk over the entries.
pub(crate) struct TarWalk<T> {
    tape: T,
    offset: u64,
    /// The data and padding of the present entry that were not read.
    left: u64,
    padding: u64,
}

/// Whether the first block of a file is the header of a tar entry.
pub(crate) fn is_header(block: &[u8]) -> bool {
    block.first_chunk().is_some_and(|block: &[u8; BLOCK as usize]| checksum_is_right(block))
}

impl<T: Tape> TarWalk<T> {
    pub(crate) fn new(tape: T) -> Self {
        Self { tape, offset: 0, left: 0, padding: 0 }
    }

    /// The next entry, after the rest of the one before; `None` at the end.
    ///
    /// # Errors
    ///
    /// `Damaged` when the archive breaks the rules of its format; when the medium fails.
    pub(crate) fn next(&mut self) -> Result<Option<TarEntry>> {
        let (mut long_name, mut pax) = (None, Pax::default());
        let mut room = MAX_EXTENSION_BYTES;
        loop {
            self.pass()?;
            let start = self.offset;
            let mut block = [0; BLOCK as usize];
            self.exact(&mut block, "an entry")?;
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            if !checksum_is_right(&block) {
                return Err(self.fault(start, "the archive", "the checksum of a header is wrong"));
            }
            let header = Header::from_byte_slice(&block);
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            let size_bytes = header.entry_size().ok().filter(|size| i64::try_from(*size).is_ok());
            let Some(size_bytes) = size_bytes else {
                return Err(self.fault(start, &name, "its header has no valid size"));
            };
            match header.entry_type() {
                EntryType::GNULongName => long_name = Some(self.extension(start, size_bytes, &mut room)?),
                EntryType::XHeader => {
                    let records = self.extension(start, size_bytes, &mut room)?;
                    pax = Pax::parse(&records).map_err(|problem| self.fault(start, &name, problem))?;
                }
                EntryType::XGlobalHeader => {
                    let records = self.extension(start, size_bytes, &mut room)?;
                    if Pax::parse(&records).is_ok_and(|pax| pax == Pax::default()) {
                        continue;
                    }
                    return Err(self.fault(start, &name, "a global header changes names or sizes"));
                }
                EntryType::GNULongLink => drop(self.extension(start, size_bytes, &mut room)?),
                kind => {
                    let name = pax.path.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
                    let shown = String::from_utf8_lossy(&name).into_owned();
                    let size_bytes = match pax.size_bytes {
                        None => size_bytes,
                        // A writer leaves the field empty if the size has no place in it.
                        Some(pax) if size_bytes == 0 || size_bytes == pax => pax,
                        Some(pax) => {
                            let problem =
                                format!("its header says {size_bytes} bytes, and its records {pax}");
                            return Err(self.fault(start, &shown, problem));
                        }
                    };
                    if size_bytes > 0 && !matches!(kind, EntryType::Regular | EntryType::Continuous) {
                        let problem = "it is not a file, and has a length";
                        return Err(self.fault(start, &shown, problem));
                    }
                    let data = self.offset;
                    self.begin(size_bytes);
                    return Ok(Some(TarEntry { name, kind, size_bytes, header: start, data }));
                }
            }
        }
    }

    /// Reads data of the present entry; returns 0 at its end.
    ///
    /// # Errors
    ///
    /// `Damaged` when the archive ends before; when the medium fails.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let len = self.left.min(buffer.len() as u64) as usize;
        self.exact(&mut buffer[..len], "the data of an entry")?;
        self.left -= len as u64;
        Ok(len)
    }

    fn begin(&mut self, size_bytes: u64) {
        (self.left, self.padding) = (size_bytes, (BLOCK - size_bytes % BLOCK) % BLOCK);
    }

    /// Passes over the rest of the present entry.
    fn pass(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.left) + std::mem::take(&mut self.padding);
        if !self.tape.skip(rest)? {
            return Err(self.fault(self.offset, "the archive", "it ends within an entry that begins here"));
        }
        self.offset += rest;
        Ok(())
    }

    /// The data of an extended header, which takes them and its block from `room`.
    fn extension(&mut self, start: u64, size_bytes: u64, room: &mut u64) -> Result<Vec<u8>> {
        *room = match room.checked_sub(size_bytes.saturating_add(BLOCK)) {
            Some(room) => room,
            None => {
                let problem = format!(
                    "the extended headers of an entry have more than the limit of {MAX_EXTENSION_BYTES} bytes"
                );
                return Err(self.fault(start, "the archive", problem));
            }
        };
        self.begin(size_bytes);
        let mut data = vec![0; size_bytes as usize];
        self.read(&mut data)?;
        if data.last() == Some(&0) {
            data.pop();
        }
        Ok(data)
    }

    fn exact(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        let filled = self.tape.fill(buffer)?;
        if filled < buffer.len() {
            let problem = format!("it ends here, where {what} should be: it was cut off");
            return Err(self.fault(self.offset + filled as u64, "the archive", problem));
        }
        self.offset += filled as u64;
        Ok(())
    }

    fn fault(&self, offset: u64, entry: &str, problem: impl Into<String>) -> Error {
        Error::Damaged { entry: entry.to_owned(), offset: Some(offset), problem: problem.into() }
    }
}

/// The records of a PAX header (POSIX pax) that change where an entry is, or its name.
#[derive(Debug, Default, Eq, PartialEq)]
struct Pax {
    path: Option<Vec<u8>>,
    size_bytes: Option<u64>,
}

impl Pax {
    fn parse(records: &[u8]) -> Result<Self, &'static str> {
        let mut pax = Self::default();
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| "its extended header is malformed")?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" if pax.path.replace(value.to_vec()).is_some() => return Err("it has two names"),
                b"size" => {
                    let size = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    let size =
                        size.filter(|size| i64::try_from(*size).is_ok()).ok_or("its size is no number")?;
                    if pax.size_bytes.replace(size).is_some() {
                        return Err("it has two sizes");
                    }
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(SPARSE),
                _ => {}
            }
        }
        Ok(pax)
    }
}

/// Why a sparse entry is refused.
pub(crate) const SPARSE: &str = "it is a sparse file: pack the archive without that option";

/// The sum of the bytes of a header, whose own field counts as spaces.
fn checksum_is_right(block: &[u8; BLOCK as usize]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
    Header::from_byte_slice(block).cksum().is_ok_and(|found| found == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tape for &[u8] {
        fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
            let len = buffer.len().min(self.len());
            buffer[..len].copy_from_slice(&self[..len]);
            *self = &self[len..];
            Ok(len)
        }

        fn skip(&mut self, len: u64) -> Result<bool> {
            let rest = usize::try_from(len).ok().and_then(|len| self.get(len..));
            *self = rest.unwrap_or_default();
            Ok(rest.is_some())
        }
    }

    fn header(name: &str, kind: EntryType, size_bytes: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(size_bytes);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn padded(data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(512), 0);
        data
    }

    fn pax(records: &[(&str, &str)]) -> Vec<u8> {
        let mut text = String::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let len = (rest.len()..).find(|len| len.to_string().len() + rest.len() == *len).unwrap();
            text.push_str(&format!("{len}{rest}"));
        }
        [header("pax", EntryType::XHeader, text.len() as u64), padded(text.as_bytes())].concat()
    }

    fn walk(archive: &[u8]) -> Result<Vec<(String, u64, String)>> {
        let (mut walk, mut entries) = (TarWalk::new(archive), Vec::new());
        while let Some(entry) = walk.next()? {
            let mut data = vec![0; 20];
            let read = walk.read(&mut data)?;
            data.truncate(read);
            let name = String::from_utf8(entry.name).unwrap();
            entries.push((name, entry.size_bytes, String::from_utf8(data).unwrap()));
        }
        Ok(entries)
    }

    #[test]
    fn names_and_sizes_come_from_any_dialect() {
        let long = "a".repeat(200);
        let archive = [
            header("short", EntryType::Regular, 3),
            padded(b"one"),
            header("././@LongLink", EntryType::GNULongName, 201),
            padded(format!("{long}\0").as_bytes()),
            header("aaa", EntryType::Regular, 3),
            padded(b"two"),
            pax(&[("path", "from/pax"), ("size", "5"), ("mtime", "1.5")]),
            header("cut", EntryType::Regular, 0),
            padded(b"three"),
            vec![0; 1024],
        ]
        .concat();
        let expected = [
            ("short".to_owned(), 3, "one".to_owned()),
            (long, 3, "two".to_owned()),
            ("from/pax".to_owned(), 5, "three".to_owned()),
        ];
        assert_eq!(walk(&archive).unwrap(), expected);
    }

    #[test]
    fn archives_that_readers_understand_differently_are_refused() {
        let end = vec![0; 1024];
        let entry = [header("x", EntryType::Regular, 3), padded(b"one")].concat();
        let mut flipped = entry.clone();
        flipped[0] ^= 1;
        for (archive, problem) in [
            (vec![flipped, end.clone()], "checksum of a header is wrong"),
            (vec![entry.clone()], "it was cut off"),
            (vec![entry[..700].to_vec()], "it ends within an entry"),
            (vec![pax(&[("size", "4")]), entry.clone(), end.clone()], "says 3 bytes, and its records 4"),
            (vec![pax(&[("size", "3"), ("size", "4")]), entry.clone()], "two sizes"),
            (vec![pax(&[("path", "a"), ("path", "b")]), entry.clone()], "two names"),
            (vec![pax(&[("size", "-1")]), entry.clone()], "no number"),
            (vec![pax(&[("GNU.sparse.major", "1")]), entry.clone()], "sparse"),
            (vec![header("g", EntryType::XGlobalHeader, 11), padded(b"11 size=12\n")], "global header"),
            (vec![header("d", EntryType::Directory, 5), padded(b"x")], "is not a file"),
            (vec![header("l", EntryType::GNULongName, 1 << 40)], "more than the limit"),
            (vec![header("x", EntryType::XHeader, 1 << 40)], "more than the limit"),
            (vec![header("n", EntryType::Regular, u64::MAX)], "no valid size"),
        ] {
            let error = walk(&archive.concat()).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains(problem), "{problem}: {error}");
        }
        for kind in
            [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
        {
            let empty = [header("e", kind, 0).repeat(200), entry.clone(), end.clone()].concat();
            let comment = padded(&format!("40000 comment={}\n", "x".repeat(39_985)).into_bytes());
            let long = [header("e", kind, 40_000), comment].concat().repeat(2);
            for archive in [empty, [long, entry.clone(), end.clone()].concat()] {
                let error = walk(&archive).unwrap_err();
                assert!(
                    error.is_damage() && error.to_string().contains("more than the limit"),
                    "{kind:?}: {error}"
                );
            }
        }
        let comment = [header("g", EntryType::XGlobalHeader, 13), padded(b"13 comment=x\n"), entry, end];
        assert_eq!(walk(&comment.concat()).unwrap().len(), 1);
    }
}
