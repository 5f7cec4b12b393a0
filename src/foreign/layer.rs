//! A layer of a docker archive, which names it by a path: its digest and media type.

use std::io::Read;

use sampan_bundle::ContentHash;
use sampan_engine::oci::{Algorithm, Digest};

use crate::compression::Compression;
use crate::extent::Extent;
use crate::{Error, Result};

/// How many bytes are hashed at a time.
const PIECE: usize = 256 << 10;

/// The most that a layer expands to: twice what gzip can, and a gibibyte in any case.
const MAX_EXPANSION: u64 = 2000;

/// What a manifest says of a layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) media_type: &'static str,
}

/// The layer whose uncompressed content has the digest `diff_id`, as the configuration says.
///
/// An uncompressed layer is not read: whatever stores it compares its digest. A compressed one is read twice.
///
/// # Errors
///
/// `Damaged` when a compressed layer is another one; when the file cannot be read.
pub(crate) fn inspect(extent: &Extent, diff_id: &Digest) -> Result<Layer> {
    let mut head = [0; 8];
    let filled = extent.open()?.read(&mut head)?;
    let compression = Compression::of(&head[..filled]);
    let media_type = match compression {
        None => "application/vnd.oci.image.layer.v1.tar",
        Some(Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
        Some(Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
    };
    let Some(compression) = compression else { return Ok(Layer { digest: diff_id.clone(), media_type }) };
    let max_bytes = extent.size_bytes.saturating_mul(MAX_EXPANSION).max(1 << 30);
    let decoder = compression.decoder(extent.open()?).take(max_bytes);
    let decoded = hash(decoder, diff_id.algorithm())?;
    if decoded != *diff_id {
        return Err(
            extent.damaged(format!("its decompressed content hashes to {decoded}, and not to {diff_id}"))
        );
    }
    Ok(Layer { digest: hash(extent.open()?, Algorithm::Sha256)?, media_type })
}

fn hash(mut content: impl Read, algorithm: Algorithm) -> Result<Digest> {
    let mut hash = ContentHash::new(algorithm);
    let mut piece = vec![0; PIECE];
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok(hash.finish()),
            Ok(read) => hash.update(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::input(error)),
        }
    }
}
