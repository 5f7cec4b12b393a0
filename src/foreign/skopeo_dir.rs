//! A directory of skopeo's `dir:` (containers/image, `directory`): `manifest.json`, `<hex>.manifest.json` for the children of an
//! index, and each blob under its digits. It has no names.

use std::path::Path;

use sampan_engine::oci::Digest;

use crate::Result;
use crate::entry_name::EntryName;
use crate::extent::Extent;
use crate::listing::{Listed, Naming};

/// The directory of one image.
#[derive(Debug)]
pub(crate) struct SkopeoDir<'a> {
    path: &'a Path,
    root: Digest,
}

impl<'a> SkopeoDir<'a> {
    /// The directory with this `manifest.json`.
    pub(crate) fn new(path: &'a Path, manifest_json: &[u8]) -> Self {
        Self { path, root: Digest::sha256_of(manifest_json) }
    }

    pub(crate) fn list(&self) -> Vec<Listed> {
        vec![Listed { digest: self.root.clone(), naming: Naming::Nothing }]
    }

    /// Content by its digest; sha256 only, as skopeo names files.
    ///
    /// # Errors
    ///
    /// When a file is a link, or cannot be opened.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Extent>> {
        if !digest.is_canonical() {
            return Ok(None);
        }
        let names = match *digest == self.root {
            true => vec![EntryName::Manifest.to_string()],
            false => vec![digest.hex().to_owned(), format!("{}.manifest.json", digest.hex())],
        };
        for name in names {
            if let Some(extent) = Extent::in_directory(self.path.join(&name), &name)? {
                return Ok(Some(extent));
            }
        }
        Ok(None)
    }
}
