//! `PartSum`: the checksum of a part, in the format of `sha256sum`.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sampan_engine::oci::{Algorithm, Digest};

use crate::{ContentHash, Error, Result};

/// The checksum of one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartSum {
    /// The name of the file, without its directory.
    pub name: String,
    /// The sha256 digest of its content.
    pub digest: Digest,
}

impl PartSum {
    /// Reads and hashes a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::file(path))?;
        let mut hash = ContentHash::new(Algorithm::Sha256);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(Error::file(path))? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, digest: hash.finish() })
    }

    /// The lines of a file that `sha256sum -c` reads.
    pub fn lines(sums: &[Self]) -> String {
        sums.iter().map(|sum| format!("{sum}\n")).collect()
    }

    /// Parses such lines. Lines of another form are skipped.
    pub fn parse(lines: &str) -> Vec<Self> {
        let parse = |line: &str| {
            let (hex, name) = line.split_once("  ")?;
            let digest = format!("sha256:{hex}").parse().ok()?;
            Some(Self { name: name.to_owned(), digest })
        };
        lines.lines().filter_map(parse).collect()
    }

    /// The file of the checksums beside the bundle `path`.
    pub fn file(path: &Path) -> PathBuf {
        path.with_extension("sums")
    }
}

impl fmt::Display for PartSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.digest.hex(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_parse_back() {
        let sums: Vec<PartSum> = [("a.001", "x"), ("a b.002", "y")]
            .map(|(name, content)| PartSum {
                name: name.to_owned(),
                digest: Digest::sha256_of(content.as_bytes()),
            })
            .into();
        assert_eq!(PartSum::parse(&PartSum::lines(&sums)), sums);
        assert_eq!(PartSum::parse("rubbish\n\n"), []);
    }
}
