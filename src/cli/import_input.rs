//! The input of `registry import`: a bundle, or a file of another tool, and the rules for its names.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sampan_bundle::KeyError;
use sampan_foreign::{
    ForeignOptions, HostPolicy, Input, InvalidNameRule, NameRule, Notice, OpenedFile, UnreadableImage,
    UnreadablePolicy,
};
use sampan_transfer::{InvalidRename, PlanReader, Rename};

use super::misunderstood;
use super::terminal::{count, printable, warn};
use super::transfer::verify_signature;

/// A rule of `--map`.
#[derive(Clone, Debug)]
pub(super) enum MapRule {
    /// Another name for repositories.
    Rename(Rename),
    /// A name for an image that has none.
    Name(NameRule),
}

/// An error: the text is no rule.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum InvalidMapRule {
    /// It looks like another name for repositories.
    Rename(#[from] InvalidRename),
    /// It looks like a name for an image.
    Name(#[from] InvalidNameRule),
}

/// The input of an import.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImportInput<'a> {
    /// The files, or one directory; `None` for standard input.
    pub(super) files: Option<&'a Vec<PathBuf>>,
    /// The rules of `--map`.
    pub(super) rules: &'a [MapRule],
    /// Whether names keep their hosts.
    pub(super) keep_host: bool,
    /// The treatment of images that cannot be read.
    pub(super) unreadable: UnreadablePolicy,
    /// The key that the input must be signed with.
    pub(super) verify_key: Option<&'a Path>,
    /// Whether only errors are printed.
    pub(super) quiet: bool,
}

/// An input that was opened.
pub(super) struct OpenedInput {
    pub(super) carried: Box<dyn PlanReader>,
    /// The images that were passed over since they cannot be read.
    pub(super) unreadable: Vec<UnreadableImage>,
}

impl ImportInput<'_> {
    /// Opens the input, and checks its signature.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is damaged, its signature is wrong, or the options do not fit it.
    pub(super) async fn open(&self) -> Result<OpenedInput, Box<dyn std::error::Error>> {
        let rules: Vec<NameRule> = MapRule::names(self.rules);
        let hosts = if self.keep_host { HostPolicy::Keep } else { HostPolicy::Cut };
        let is_for_foreign = self.keep_host || !rules.is_empty();
        let input = match self.files {
            None => Input::Stream(Box::new(File::from(std::io::stdin().as_fd().try_clone_to_owned()?))),
            Some(files) => Input::Paths(files.clone()),
        };
        let notify = if self.quiet { |_: &Notice| {} } else { show };
        let options = ForeignOptions { rules, hosts, unreadable: self.unreadable };
        let opened = sampan_foreign::open(input, options, notify).await.map_err(|error| match error {
            error @ sampan_foreign::Error::InSeveral(_) => misunderstood(error.to_string()).into(),
            error => Box::<dyn std::error::Error>::from(error),
        });
        match opened? {
            OpenedFile::Bundle(_) if is_for_foreign => Err(misunderstood(
                "--keep-host, and --map with a tag or digest, are for files of other tools: a bundle names all repositories"
                    .to_owned(),
            )
            .into()),
            OpenedFile::Bundle(reader) => {
                verify_signature(&reader, self.verify_key)?;
                Ok(OpenedInput { carried: Box::new(reader), unreadable: Vec::new() })
            }
            // Other tools sign nothing that the key could be for.
            OpenedFile::Foreign(_) if self.verify_key.is_some() => Err(KeyError::Missing.into()),
            OpenedFile::Foreign(reader) => {
                reader.notices().iter().for_each(notify);
                let unreadable = reader.unreadable().to_vec();
                Ok(OpenedInput { carried: reader, unreadable })
            }
        }
    }
}

impl MapRule {
    /// The rules that rename repositories.
    pub(super) fn renames(rules: &[Self]) -> Vec<Rename> {
        let renames = rules.iter().filter_map(|rule| match rule {
            Self::Rename(rename) => Some(rename.clone()),
            Self::Name(_) => None,
        });
        renames.collect()
    }

    fn names(rules: &[Self]) -> Vec<NameRule> {
        let names = rules.iter().filter_map(|rule| match rule {
            Self::Name(name) => Some(name.clone()),
            Self::Rename(_) => None,
        });
        names.collect()
    }
}

impl FromStr for MapRule {
    type Err = InvalidMapRule;

    fn from_str(text: &str) -> Result<Self, InvalidMapRule> {
        match NameRule::is_meant(text) {
            true => Ok(Self::Name(text.parse()?)),
            false => Ok(Self::Rename(text.parse()?)),
        }
    }
}

fn show(notice: &Notice) {
    let line = match notice {
        Notice::Spooling { directory } => format!(
            "decoding into a temporary file in {}; set TMPDIR to choose another directory",
            directory.display()
        ),
        Notice::Remade => {
            "this is a docker archive, which has no manifests: the digests are not those of the registry \
                           that the images came from"
                .to_owned()
        }
        Notice::Partial { image, absent } => format!("{image}: the file does not have {absent}"),
        Notice::Orphans { count: orphans } => {
            format!("passed over: {} whose images the file does not have", count(*orphans, "referrer"))
        }
        Notice::Absent { count: images, first } => format!(
            "passed over: {} whose manifests the file does not have, such as {}: import the earlier archives as well",
            count(*images, "image"),
            first.join(", ")
        ),
        Notice::Ignored { count: files } => {
            format!("passed over: {} that no image needs", count(*files, "file"))
        }
    };
    warn(printable(&line));
}
