//! `Descendants`: what a repository has of the children of an index, for the record of the index's removal.

use std::collections::BTreeSet;
use std::future::ready;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::ErrorKind;

use crate::oci::{Digest, Manifest, Reference};
use crate::{Error, ManifestStore, Result};

/// The children of an index, and theirs, that its repository has.
#[derive(Clone, Debug)]
pub(crate) struct Descendants {
    /// The index, or a manifest without children.
    pub(crate) of: Digest,
    /// At most [`MAX_DESCENDANTS`].
    pub(crate) digests: BTreeSet<Digest>,
}

/// How many descendants of an index a record names.
pub(crate) const MAX_DESCENDANTS: usize = 200;

/// How many children of one index are looked for: an index may name any number that its repository lacks.
const MAX_CHILDREN: usize = 1_000;

const CONCURRENT_READS: usize = 8;

impl Descendants {
    /// Reads them, one level after the other. A damaged or unreadable manifest has no children here, since it must not prevent a
    /// deletion.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    pub(crate) async fn read(manifests: &ManifestStore, of: Digest) -> Result<Self> {
        let (mut level, mut digests) = (vec![of.clone()], BTreeSet::new());
        while !level.is_empty() {
            let parents = std::mem::take(&mut level);
            let mut children =
                stream::iter(parents).map(|parent| children(manifests, parent)).buffered(CONCURRENT_READS);
            while let Some(children) = children.try_next().await? {
                for child in children {
                    if digests.len() == MAX_DESCENDANTS {
                        return Ok(Self { of, digests });
                    }
                    if digests.insert(child.clone()) {
                        level.push(child);
                    }
                }
            }
        }
        Ok(Self { of, digests })
    }
}

/// The children of an index that the repository has; none of a manifest that is no index.
async fn children(manifests: &ManifestStore, index: Digest) -> Result<Vec<Digest>> {
    let stored = readable(manifests.fetch(&Reference::Digest(index)).await)?;
    let index = stored.and_then(|stored| Manifest::parse(&stored.bytes, None).ok());
    let named = index.into_iter().flat_map(|index| index.manifests).map(|child| child.digest);
    let look = |child: Digest| async move {
        let found = readable(manifests.resolve(&Reference::Digest(child.clone())).await)?;
        Ok(found.map(|_| child))
    };
    let found = stream::iter(named.take(MAX_CHILDREN)).map(look).buffered(CONCURRENT_READS);
    found.try_filter_map(|child| ready(Ok(child))).take(MAX_DESCENDANTS).try_collect().await
}

fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Error::Driver(error)) if error.kind() == ErrorKind::Unavailable => Err(error.into()),
        Err(_) => Ok(None),
    }
}
