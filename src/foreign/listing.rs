//! `ListedImage`: an image that a foreign file lists, and the name that it gets.

use std::collections::HashSet;

use sampan_engine::oci::{Digest, Tag};

use crate::image_name::ImageName;
use crate::{Error, NameRule, Result, Unnamed};

/// An image, index, or referrer of the outermost list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ListedImage {
    pub(crate) digest: Digest,
    pub(crate) naming: Naming,
}

/// The name of an image in the file, as far as it has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Naming {
    Full(ImageName),
    /// A tag without a repository.
    Tag(Tag),
    /// Nothing: a child or referrer of another image, or an image without a name.
    Nothing,
}

/// Gives images the names of the rules: by their digest in any case, by their tag where the repository is unknown.
///
/// # Errors
///
/// `UnusedRule` when a rule matches nothing.
pub(crate) fn apply(listed: &mut [ListedImage], rules: &[NameRule]) -> Result<()> {
    for rule in rules {
        let mut is_used = false;
        for image in &mut *listed {
            let name = rule.for_digest(&image.digest).or_else(|| match &image.naming {
                Naming::Tag(tag) => rule.for_tag(tag),
                _ => None,
            });
            if let Some(name) = name {
                image.naming = Naming::Full(name);
                is_used = true;
            }
        }
        if !is_used {
            return Err(Error::UnusedRule(rule.to_string()));
        }
    }
    Ok(())
}

/// Checks that all images have names, but for those in `others`.
///
/// # Errors
///
/// `Unnamed`, with each image once.
pub(crate) fn check_named(listed: &[ListedImage], others: &HashSet<&Digest>) -> Result<()> {
    let mut seen = HashSet::new();
    let unnamed = listed.iter().filter_map(|image| {
        let tag = match &image.naming {
            Naming::Full(_) => return None,
            Naming::Tag(tag) => Some(tag.to_string()),
            Naming::Nothing if others.contains(&image.digest) => return None,
            Naming::Nothing => None,
        };
        let unnamed = Unnamed { digest: image.digest.clone(), tag };
        seen.insert((unnamed.digest.clone(), unnamed.tag.clone())).then_some(unnamed)
    });
    let unnamed: Vec<Unnamed> = unnamed.collect();
    if unnamed.is_empty() { Ok(()) } else { Err(Error::Unnamed(unnamed)) }
}
