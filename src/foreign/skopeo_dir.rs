//! A directory of skopeo's `dir:` (containers/image, `directory`): `manifest.json`, `<hex>.manifest.json` for the children of an
//! index, and each blob under its digits. It has no names.

use std::path::Path;

use sampan_engine::oci::Digest;

use crate::Result;
use crate::entry_name::EntryName;
use crate::extent::Extent;
use crate::listing::{ListedImage, Naming};

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

    pub(crate) fn list(&self) -> Vec<ListedImage> {
        vec![ListedImage { digest: self.root.clone(), naming: Naming::Nothing }]
    }

    /// Content by its digest. The name of a file has the digits of the digest, and perhaps an algorithm other than sha256 before
    /// them.
    ///
    /// # Errors
    ///
    /// When a file is a link, or cannot be opened.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Extent>> {
        let (algorithm, hex) = (digest.algorithm(), digest.hex());
        let names = match (*digest == self.root, digest.is_canonical()) {
            (true, _) => vec![EntryName::Manifest.to_string()],
            (false, true) => vec![hex.to_owned(), format!("{hex}.manifest.json")],
            (false, false) => [format!("{algorithm}-{hex}"), hex.to_owned()]
                .into_iter()
                .flat_map(|name| [format!("{name}.manifest.json"), name])
                .collect(),
        };
        for name in names {
            if let Some(extent) = Extent::in_directory(self.path.join(&name), &name)? {
                return Ok(Some(extent));
            }
        }
        Ok(None)
    }
}
