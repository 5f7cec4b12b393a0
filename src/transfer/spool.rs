//! `Spool`: the manifests of a bundle that comes by a pipe. Later images may need earlier ones, and a pipe does not go back.

use std::collections::HashMap;
use std::fs::File;
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
        file.read_exact_at(&mut bytes, *offset).map_err(Error::Spool)?;
        Ok(Some(bytes.into()))
    }

    pub(crate) fn put(&mut self, digest: &Digest, bytes: &Bytes) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile().map_err(Error::Spool)?,
        };
        let file = self.file.insert(file);
        file.write_all_at(bytes, self.len).map_err(Error::Spool)?;
        self.places.insert(digest.clone(), (self.len, bytes.len()));
        self.len += bytes.len() as u64;
        Ok(())
    }
}
