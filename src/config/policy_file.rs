//! The policy file, `access.file`: `groups` and `rules` in a file of their own, with the same errors as in the main file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::defaults::complete_part;
use super::findings::Findings;
use super::parse::parse;
use super::regular_file::{RegularFileError, read_regular_file};
use super::section::Value;
use super::{AccessRules, Diagnostic, Origin, slips, validate};

/// The longest policy file, in bytes.
pub const MAX_POLICY_BYTES: u64 = 1 << 20;

/// The most mistakes of a file that a message lists.
const MAX_LISTED: usize = 20;

/// A valid policy file.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedPolicy {
    /// The groups and rules.
    pub rules: AccessRules,
    /// Oddities for the log.
    pub warnings: Vec<Diagnostic>,
    /// The text of the file.
    pub text: String,
}

/// The reason why a policy file is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The file could not be read.
    #[error("the policy file {} cannot be read", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path names a directory, a device or the like.
    #[error(
        "the policy file {} is {kind} and must be a file; docker creates a directory where a mounted file is missing on the host",
        path.display()
    )]
    NoFile {
        /// The path.
        path: PathBuf,
        /// The kind of thing at the path.
        kind: &'static str,
    },
    /// The file is too long.
    #[error("the policy file {} is longer than 1 MiB; name patterns and groups in place of repositories and users", path.display())]
    TooLong {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file is not UTF-8.
    #[error("{}:{line}: the policy file is not UTF-8; save it as such", path.display())]
    NotUtf8 {
        /// The path of the file.
        path: PathBuf,
        /// The line of the first wrong byte, from one.
        line: usize,
    },
    /// The file has mistakes.
    #[error("{}", Listing(.0))]
    Invalid(Vec<Diagnostic>),
}

/// Reads a policy file. Blocks.
///
/// # Errors
///
/// The file cannot be read, is longer than [`MAX_POLICY_BYTES`], or has mistakes, of which each names its line.
pub fn load_policy_file(path: &Path) -> Result<LoadedPolicy, PolicyFileError> {
    let no_file = |kind| PolicyFileError::NoFile { path: path.to_owned(), kind };
    let bytes = read_regular_file(path, MAX_POLICY_BYTES).map_err(|error| match error {
        RegularFileError::Io(source) => PolicyFileError::Unreadable { path: path.to_owned(), source },
        RegularFileError::Directory => no_file("a directory"),
        RegularFileError::Special => no_file("a device, a pipe or a socket"),
        RegularFileError::TooLong(_) => PolicyFileError::TooLong { path: path.to_owned() },
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        PolicyFileError::NotUtf8 { path: path.to_owned(), line }
    })?;
    parse_policy(&path.display().to_string(), &text).map_err(PolicyFileError::Invalid)
}

/// Reads the text of a policy file; `name` is the file's name in messages.
///
/// # Errors
///
/// All mistakes, each with its line.
pub fn parse_policy(name: &str, text: &str) -> Result<LoadedPolicy, Vec<Diagnostic>> {
    let file: Arc<str> = Arc::from(name);
    let origin = |line, column| Origin::File { file: file.clone(), line, column };
    let slips = slips::slips(text, &origin);
    let mut mistakes = slips.mistakes;
    let parsed = match parse(&slips.repaired, &origin) {
        Ok(parsed) => parsed,
        // An error after repaired slips may come from the repair itself.
        Err(_) if !mistakes.is_empty() => return Err(mistakes),
        Err(diagnostics) => return Err(diagnostics),
    };
    let mut root = parsed.root;
    if let Some(rest) = &parsed.rest {
        mistakes.push(Diagnostic::new(rest, "", "a second document begins here; a policy file has one"));
    }
    if let Some(access) = root.remove("access") {
        let message = "a policy file has the keys `groups` and `rules` themselves, not below `access`";
        mistakes.push(Diagnostic::new(&access.key_origin, "access", message));
        return Err(mistakes);
    }
    if root.at("rules").is_none() {
        let message = "has no `rules`, so no client could do anything: write `rules: []` if that is meant";
        mistakes.push(Diagnostic::new(&root.origin, "", message));
    }
    let kind = <AccessRules as Value>::KIND;
    let completed = complete_part(&mut root, &kind);
    mistakes.extend(completed.mistakes);
    mistakes.extend(slips::quotes(&root));
    mistakes.extend(validate::mistakes(&root, &kind));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let rules = AccessRules::read(&root).map_err(|error| vec![error.into_diagnostic("")])?;
    let mut found = Findings::new(&root);
    rules.check("", &mut found);
    let mut warnings = completed.warnings;
    warnings.extend(found.warnings);
    match found.mistakes.is_empty() {
        true => Ok(LoadedPolicy { rules, warnings, text: text.to_owned() }),
        false => Err(found.mistakes),
    }
}

/// Displays a single mistake as it is, and the first of several as an indented list.
struct Listing<'a>(&'a [Diagnostic]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, "{only}");
        }
        write!(f, "{} mistakes in the policy file:", self.0.len())?;
        for diagnostic in self.0.iter().take(MAX_LISTED) {
            write!(f, "\n  {diagnostic}")?;
        }
        match self.0.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
#[path = "policy_file_tests.rs"]
mod tests;
