//! `Spool`: the manifests of a bundle that comes by a pipe. Later images may need earlier ones, and a pipe does not go back.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use sampan_engine::oci::Digest;

use crate::{Error, Result};

/// Manifests in a temporary file without a name.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    file: Option<File>,
    places: HashMap<Digest, (u64, usize)>,
    len: u64,
}

impl Spool {
    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let (Some(file), Some((offset, len))) = (&self.file, self.places.get(digest)) else {
            return Ok(None);
        };
        let mut bytes = vec![0; *len];
        file.read_exact_at(&mut bytes, *offset).map_err(failed)?;
        Ok(Some(bytes.into()))
    }

    pub(crate) fn put(&mut self, digest: &Digest, bytes: &Bytes) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile().map_err(failed)?,
        };
        let file = self.file.insert(file);
        file.write_all_at(bytes, self.len).map_err(failed)?;
        self.places.insert(digest.clone(), (self.len, bytes.len()));
        self.len += bytes.len() as u64;
        Ok(())
    }
}

fn failed(source: io::Error) -> Error {
    Error::Spool { directory: std::env::temp_dir(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_directory_and_how_to_choose_another() {
        let error = failed(io::ErrorKind::ReadOnlyFilesystem.into()).to_string();
        assert!(
            error.contains(std::env::temp_dir().to_str().unwrap()) && error.contains("TMPDIR"),
            "{error}"
        );
    }
}
