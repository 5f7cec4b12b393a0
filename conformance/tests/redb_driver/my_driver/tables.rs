//! `Tables`: the tables of a transaction, and the changes to them.
//!
//! A file is a list of parts, each the bytes of one writer in pieces. So an append adds a part and a commit moves the list:
//! neither copies bytes, and a writer never touches the pieces of another.

use std::time::{SystemTime, UNIX_EPOCH};

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use sampan_driver::{DriverPath, ErrorKind, PutMode};

/// The result of a read or a change; the outer error is one of the database.
pub(super) type TableResult<T> = Result<Result<T, ErrorKind>, redb::Error>;

/// Path → time in nanoseconds, parts.
pub(super) const FILES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("files");

/// Path of a staged file → parts, note.
pub(super) const STAGED: TableDefinition<'_, &str, (&[u8], &[u8])> = TableDefinition::new("staged");

/// Part, number of the piece → bytes.
pub(super) const PIECES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("pieces");

/// The size of each piece but the last of a part.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// The bytes of one writer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) id: u64,
    pub(super) size: u64,
}

/// The tables of a write transaction.
pub(super) struct Tables<'a> {
    files: Table<'a, &'static str, (u64, &'static [u8])>,
    staged: Table<'a, &'static str, (&'static [u8], &'static [u8])>,
    pieces: Table<'a, (u64, u64), &'static [u8]>,
}

impl<'a> Tables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            files: transaction.open_table(FILES)?,
            staged: transaction.open_table(STAGED)?,
            pieces: transaction.open_table(PIECES)?,
        })
    }

    pub(super) fn put(
        &mut self,
        path: &DriverPath,
        id: u64,
        content: &[u8],
        mode: PutMode,
    ) -> TableResult<()> {
        if path.is_root() {
            return Ok(Err(ErrorKind::Unsupported));
        }
        if mode == PutMode::Create && self.files.get(path.as_str())?.is_some() {
            return Ok(Err(ErrorKind::AlreadyExists));
        }
        for (number, piece) in (0..).zip(content.chunks(PIECE_BYTES)) {
            self.add_piece(id, number, piece)?;
        }
        self.publish(path, &[Part { id, size: content.len() as u64 }])?;
        Ok(Ok(()))
    }

    pub(super) fn add_piece(&mut self, id: u64, number: u64, piece: &[u8]) -> Result<(), redb::Error> {
        self.pieces.insert((id, number), piece)?;
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &DriverPath, to: &DriverPath) -> TableResult<()> {
        if to.is_root() {
            return Ok(Err(ErrorKind::Unsupported));
        }
        let Some(parts) = self.files.remove(from.as_str())?.map(|file| decode(file.value().1)) else {
            return Ok(Err(ErrorKind::NotFound));
        };
        self.publish(to, &parts)?;
        Ok(Ok(()))
    }

    /// Deletes a file, published and staged.
    pub(super) fn delete(&mut self, path: &str) -> TableResult<()> {
        let parts = self.files.remove(path)?.map(|file| decode(file.value().1));
        self.drop_parts(&parts.unwrap_or_default())?;
        self.unstage(path)?;
        Ok(Ok(()))
    }

    pub(super) fn delete_tree(&mut self, top: &DriverPath) -> TableResult<()> {
        let (first, end) = below(top);
        let mut paths = vec![top.to_string()];
        for file in self.files.range(first.as_str()..end.as_str())? {
            paths.push(file?.0.value().to_owned());
        }
        for file in self.staged.range(first.as_str()..end.as_str())? {
            paths.push(file?.0.value().to_owned());
        }
        for path in paths {
            self.delete(&path)?.ok();
        }
        Ok(Ok(()))
    }

    /// The parts staged at `path`.
    pub(super) fn staged(&self, path: &str) -> Result<Option<Vec<Part>>, redb::Error> {
        Ok(self.staged.get(path)?.map(|staged| decode(staged.value().0)))
    }

    /// Stages `parts` at `path` instead of what is there.
    pub(super) fn stage(&mut self, path: &str, parts: &[Part], note: &[u8]) -> Result<(), redb::Error> {
        let old = self.staged.insert(path, (encode(parts).as_slice(), note))?;
        let old = old.map(|staged| decode(staged.value().0)).unwrap_or_default();
        self.drop_parts(&without(&old, parts))
    }

    /// Removes what is staged at `path`.
    pub(super) fn unstage(&mut self, path: &str) -> Result<(), redb::Error> {
        let parts = self.staged.remove(path)?.map(|staged| decode(staged.value().0));
        self.drop_parts(&parts.unwrap_or_default())
    }

    /// Publishes `parts` at `to`, and removes what is staged at `path`.
    pub(super) fn commit(&mut self, path: &str, parts: &[Part], to: &DriverPath) -> Result<(), redb::Error> {
        let staged = self.staged.remove(path)?.map(|staged| decode(staged.value().0));
        self.drop_parts(&without(&staged.unwrap_or_default(), parts))?;
        self.publish(to, parts)
    }

    /// Removes the bytes of a writer.
    pub(super) fn drop_parts(&mut self, parts: &[Part]) -> Result<(), redb::Error> {
        for part in parts {
            self.pieces.retain_in((part.id, 0)..=(part.id, u64::MAX), |_, _| false)?;
        }
        Ok(())
    }

    fn publish(&mut self, path: &DriverPath, parts: &[Part]) -> Result<(), redb::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let old = self.files.insert(path.as_str(), (now, encode(parts).as_slice()))?;
        let old = old.map(|file| decode(file.value().1)).unwrap_or_default();
        self.drop_parts(&without(&old, parts))
    }
}

/// The keys below `path`: from the first up to the second.
pub(super) fn below(path: &DriverPath) -> (String, String) {
    let directory = if path.is_root() { "" } else { path.as_str() };
    (format!("{directory}/"), format!("{directory}0")) // 0 is the character after the slash.
}

fn without(parts: &[Part], others: &[Part]) -> Vec<Part> {
    parts.iter().filter(|part| others.iter().all(|other| other.id != part.id)).copied().collect()
}

fn encode(parts: &[Part]) -> Vec<u8> {
    parts.iter().flat_map(|part| [part.id.to_le_bytes(), part.size.to_le_bytes()]).flatten().collect()
}

pub(super) fn decode(bytes: &[u8]) -> Vec<Part> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    bytes.chunks_exact(16).map(|part| Part { id: number(&part[..8]), size: number(&part[8..]) }).collect()
}
