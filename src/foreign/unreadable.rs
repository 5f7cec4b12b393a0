//! Images of a registry's data directory that cannot be read, such as those of schema 1, among others that can.

use std::fmt;

use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::{Error, Result};

/// The treatment of an image of a data directory that cannot be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UnreadablePolicy {
    /// The file is refused.
    #[default]
    Refuse,
    /// The other images are read.
    PassOver,
}

/// An image that was passed over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnreadableImage {
    /// Its repository.
    pub repository: RepositoryName,
    /// Its tag.
    pub tag: Option<Tag>,
    /// Its digest, as far as a link has one.
    pub digest: Option<Digest>,
    /// The problem.
    pub problem: String,
}

/// The images that were passed over.
#[derive(Debug)]
pub(crate) struct UnreadableImages {
    policy: UnreadablePolicy,
    pub(crate) images: Vec<UnreadableImage>,
}

impl UnreadableImages {
    pub(crate) fn new(policy: UnreadablePolicy) -> Self {
        Self { policy, images: Vec::new() }
    }

    /// Adds an image.
    ///
    /// # Errors
    ///
    /// The error, if the policy refuses the file or the image is not the reason.
    pub(crate) fn add(
        &mut self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        digest: Option<&Digest>,
        error: Error,
    ) -> Result<()> {
        self.pass_over(error)?.into_iter().for_each(|problem| {
            self.images.push(UnreadableImage {
                repository: repository.clone(),
                tag: tag.cloned(),
                digest: digest.cloned(),
                problem,
            });
        });
        Ok(())
    }

    /// Takes the error of something that no image needs by itself.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub(crate) fn ignore(&self, error: Error) -> Result<()> {
        self.pass_over(error).map(drop)
    }

    fn pass_over(&self, error: Error) -> Result<Option<String>> {
        match (error, self.policy) {
            (error @ Error::Damaged { .. }, UnreadablePolicy::PassOver) => Ok(Some(error.to_string())),
            (Error::Damaged { entry, offset, problem }, UnreadablePolicy::Refuse) => {
                let problem = format!("{problem}; with --keep-going the other images are imported");
                Err(Error::Damaged { entry, offset, problem })
            }
            (error, _) => Err(error),
        }
    }
}

impl fmt::Display for UnreadableImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, digest, .. } = self;
        match (tag, digest) {
            (Some(tag), _) => write!(f, "{repository}:{tag}"),
            (None, Some(digest)) => write!(f, "{repository}@{digest}"),
            (None, None) => write!(f, "{repository}"),
        }
    }
}
