//! Finds out which manifests the repository has, with as few requests as possible.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::StorageDriver;

use super::{CONCURRENT_READS, Referrers, Steps};
use crate::layout::{self, Entry};
use crate::oci::{Algorithm, Digest};
use crate::{Error, Result, link};

/// Reading one page of a listing takes as long as this many requests, [`CONCURRENT_READS`] at a time.
const WORTH_A_PAGE: usize = 2 * CONCURRENT_READS;

/// How many names a page of a listing has.
const PAGE: usize = 1000;

impl Referrers {
    /// The digests, given in order, that have a revision link.
    pub(super) async fn linked(&self, digests: Vec<Digest>) -> Result<HashSet<Digest>> {
        let mut linked = HashSet::new();
        let (canonical, mut left): (Vec<Digest>, Vec<Digest>) =
            digests.into_iter().partition(Digest::is_canonical);
        // A store with real directories may list an empty one, and reading a link there costs no more than reading its name.
        if self.driver().capabilities().flat && canonical.len() > WORTH_A_PAGE {
            left.extend(self.linked_by_listing(canonical, &mut linked).await?);
        } else {
            left.extend(canonical);
        }
        let mut answers = stream::iter(left)
            .map(|digest| async move { Ok::<_, Error>((self.is_linked(&digest).await?, digest)) })
            .buffer_unordered(CONCURRENT_READS);
        let mut steps = Steps::default();
        while let Some((is_linked, digest)) = answers.try_next().await? {
            steps.step().await;
            if is_linked {
                linked.insert(digest);
            }
        }
        Ok(linked)
    }

    /// Walks the listing of revisions beside `digests`, as long as that settles more digests than requests would in the same
    /// time: a repository may have many more revisions than a subject has referrers. Returns the digests that it did not
    /// reach.
    async fn linked_by_listing(
        &self,
        digests: Vec<Digest>,
        linked: &mut HashSet<Digest>,
    ) -> Result<Vec<Digest>> {
        let mut wanted = digests.into_iter().peekable();
        // Without its last digit, the name sorts just before the digest.
        let after = wanted.peek().map(|first| first.hex()[..first.hex().len() - 1].to_owned());
        let directory = layout::revisions(&self.repository.name, Algorithm::Sha256);
        let mut revisions = self.driver().list(&directory, after.as_deref());
        let (mut names, mut settled) = (0, 0);
        while let Some(entry) = revisions.try_next().await? {
            names += 1;
            while wanted.next_if(|digest| digest.hex() < entry.name()).is_some() {
                settled += 1;
            }
            if let Some(digest) = wanted.next_if(|digest| digest.hex() == entry.name()) {
                settled += 1;
                linked.insert(digest);
            }
            if wanted.peek().is_none() {
                break;
            }
            if names == PAGE {
                if settled < WORTH_A_PAGE {
                    return Ok(wanted.collect());
                }
                (names, settled) = (0, 0);
            }
        }
        Ok(Vec::new())
    }

    /// Whether the repository has the manifest. A damaged link is logged and counts as missing.
    pub(super) async fn is_linked(&self, digest: &Digest) -> Result<bool> {
        let name = &self.repository.name;
        match link::resolve(self.driver(), digest, |digest| Entry::RevisionLink(name.clone(), digest)).await {
            Ok(canonical) => Ok(canonical.is_some()),
            Err(Error::Corrupt(path, error)) => {
                tracing::warn!(
                    repository = %name, %digest, %path, %error,
                    "{digest} is left out of the referrers: its link is damaged"
                );
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
