//! `Sizes`: the length of all data in the store, in forty bytes each.

use futures::StreamExt;

use super::Result;
use super::findings::Findings;
use super::pace::Pace;
use super::unseen::unseen;
use crate::Registry;
use crate::layout;
use crate::oci::{Algorithm, Digest};

/// The canonical digest of some content, as its bytes.
pub(super) type Hash = [u8; 32];

/// The length of all data, in the order of their digests.
#[derive(Debug, Default)]
pub(super) struct Sizes(Vec<(Hash, u64)>);

impl Sizes {
    /// Walks over the data after a digest whose [`place`] is at most `up_to`. Ends early, with what it has, when the run is
    /// stopped. Places that cannot be seen are among the findings.
    pub(super) async fn walk(
        registry: &Registry,
        pace: &Pace,
        after: Option<&Digest>,
        up_to: u64,
        findings: &mut Findings,
    ) -> Result<Self> {
        let mut data = registry.data_after(after);
        let mut sizes = Vec::new();
        while let Some(found) = data.next().await {
            let (digest, size_bytes) = match found {
                Ok(found) => found,
                Err(crate::Error::Driver(error)) => {
                    findings.add(unseen(&**registry.driver(), &layout::blobs_root(), error).await?);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(hash) = digest.canonical_hash() else { continue };
            if place(&hash) > up_to {
                break;
            }
            sizes.push((hash, size_bytes));
            if !pace.goes_on().await {
                break;
            }
        }
        // A walk is in the order of paths, which is that of digests; a driver from outside may err.
        sizes.sort_unstable();
        Ok(Self(sizes))
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<u64> {
        let place = self.0.binary_search_by(|(found, _)| found.cmp(hash)).ok()?;
        self.0.get(place).map(|(_, size_bytes)| *size_bytes)
    }

    /// Digests and lengths after a digest, in their order.
    pub(super) fn after(&self, after: Option<&Hash>) -> &[(Hash, u64)] {
        let place = after.map_or(0, |after| self.0.partition_point(|(hash, _)| hash <= after));
        self.0.get(place..).unwrap_or_default()
    }

    /// Keeps only these digests.
    pub(super) fn retain(&mut self, keep: impl Fn(&Hash) -> bool) {
        self.0.retain(|(hash, _)| keep(hash));
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, size_bytes)| size_bytes).sum()
    }
}

/// The digest with these bytes.
pub(super) fn digest(hash: &Hash) -> Digest {
    Digest::from_hash(Algorithm::Sha256, hash)
}

/// The first eight bytes as a number: digests are spread evenly over these.
pub(super) fn place(hash: &Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}
