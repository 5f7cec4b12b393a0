//! Tar headers as a bundle has them: GNU format, no owner, no time, and nothing that depends on the machine.
//!
//! GNU's base-256 sizes and long names are read right by every client; a size in a PAX record reads as 0 in some.

use bytes::Bytes;
use tar::{EntryType, Header};

/// The unit of a tar file, in bytes.
pub(crate) const BLOCK: u64 = 512;

/// The two empty blocks at the end of a tar file, in bytes.
pub(crate) const END: u64 = 2 * BLOCK;

/// The longest name in a header; a longer one has an entry of its own.
const MAX_NAME: usize = 100;

/// The header of a file, with the entry for its name if that is long.
pub(crate) fn file(name: &str, size_bytes: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(len(name) as usize);
    if name.len() > MAX_NAME {
        bytes.extend_from_slice(&block("././@LongLink", EntryType::GNULongName, name.len() as u64 + 1));
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize(2 * BLOCK as usize, 0);
    }
    bytes.extend_from_slice(&block(name, EntryType::Regular, size_bytes));
    bytes.into()
}

/// The header of a directory, whose name ends with a slash.
pub(crate) fn directory(name: &str) -> Bytes {
    Bytes::copy_from_slice(&block(name, EntryType::Directory, 0))
}

/// The length of the header of a file of that name, in bytes.
pub(crate) fn len(name: &str) -> u64 {
    if name.len() > MAX_NAME { 3 * BLOCK } else { BLOCK }
}

/// The number of bytes after the content of a file up to the next header.
pub(crate) fn padding(size_bytes: u64) -> u64 {
    (BLOCK - size_bytes % BLOCK) % BLOCK
}

/// The size that a header gives, if it is the header of a file of that name.
pub(crate) fn size_of(name: &str, header: &[u8; BLOCK as usize]) -> Option<u64> {
    let size_bytes = Header::from_byte_slice(header).entry_size().ok()?;
    (file(name, size_bytes)[..] == header[..]).then_some(size_bytes)
}

fn block(name: &str, kind: EntryType, size_bytes: u64) -> [u8; BLOCK as usize] {
    let mut header = Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    let len = name.len().min(field.len());
    field[..len].copy_from_slice(&name.as_bytes()[..len]);
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size_bytes);
    header.set_cksum();
    *header.as_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn another_reader_finds_names_and_sizes() {
        let long = format!("blobs/sha512/{}", "a".repeat(128));
        for (name, size_bytes) in
            [("oci-layout", 30), (long.as_str(), 5), ("huge", 9 << 30), ("edge", 8 << 30)]
        {
            let header = file(name, size_bytes);
            assert_eq!(header.len() as u64, len(name));
            let mut archive = tar::Archive::new(header.chain(std::io::repeat(0)));
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path_bytes(), name.as_bytes());
            assert_eq!(entry.size(), size_bytes);
        }
    }

    #[test]
    fn a_header_of_another_form_has_no_size() {
        let mut header: [u8; 512] = file("bundle.json", 77)[..].try_into().unwrap();
        assert_eq!(size_of("bundle.json", &header), Some(77));
        assert_eq!(size_of("other", &header), None);
        for position in 0..512 {
            header[position] ^= 1;
            let found = size_of("bundle.json", &header);
            assert_eq!(found, None, "byte {position}");
            header[position] ^= 1;
        }
    }
}
