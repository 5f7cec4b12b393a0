//! The name of the input in errors that do not have it: a bundle that is damaged, or another file.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use sampan_bundle::KeyError;

/// An error of an input, with its name.
#[derive(Debug)]
struct OfInput {
    name: String,
    source: Box<dyn Error>,
}

/// The error with the names of the files that were read, unless it is about something else, or names one.
pub(super) fn of_input(error: Box<dyn Error>, files: &[PathBuf]) -> Box<dyn Error> {
    if !lacks_name(&*error) {
        return error;
    }
    let shown = |path: &PathBuf| match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let name = files.iter().map(shown).collect::<Vec<_>>().join(", ");
    Box::new(OfInput { name, source: error })
}

/// Whether the first cause that is about an input does not name it.
fn lacks_name(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    let found = causes.find_map(|error| {
        if let Some(error) = error.downcast_ref::<sampan_transfer::Error>() {
            return Some(match error {
                sampan_transfer::Error::Bundle(error) => !error.names_file(),
                sampan_transfer::Error::Foreign(error) => !error.names_file(),
                _ => false,
            });
        }
        let of_bundle = error.downcast_ref::<sampan_bundle::Error>().map(|error| !error.names_file());
        let of_foreign = || error.downcast_ref::<sampan_foreign::Error>().map(|error| !error.names_file());
        let of_key = || match error.downcast_ref() {
            Some(KeyError::Wrong | KeyError::Missing) => Some(true),
            _ => None,
        };
        of_bundle.or_else(of_foreign).or_else(of_key)
    });
    found.unwrap_or_default()
}

impl fmt::Display for OfInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.source)
    }
}

impl Error for OfInput {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
