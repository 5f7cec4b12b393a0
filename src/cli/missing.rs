//! Content that a bundle presumes and a registry lacks, as commands show it.

use std::error::Error;
use std::path::Path;

use sampan_transfer::{Error as TransferError, Missing, MissingFrom};

use super::terminal::{count, printable, warn};
use super::transfer::{Failed, write_lines};

/// How many images are named on the terminal.
const MAX_NAMED: usize = 20;

/// If content is missing, names the images that need it, and writes them to `file`. Returns the error.
pub(super) fn name_missing(error: Box<dyn Error>, file: Option<&Path>) -> Box<dyn Error> {
    let Some(TransferError::PresumedMissing(missing)) = error.downcast_ref() else { return error };
    if missing.images.is_empty() {
        return error;
    }
    warn(printable(&shown(missing)));
    let Some(path) = file.filter(|_| missing.supplement == MissingFrom::Export) else { return error };
    if let Err(problem) = write_lines(path, &missing.images) {
        return Failed(format!("{error}\n{problem}")).into();
    }
    warn(format!(
        "On the near side, `registry export --list {0}` carries them whole, and with `--have` a new inventory of this side as \
         far as needed; import that first.",
        path.display()
    ));
    error
}

/// The images that need missing content.
fn shown(missing: &Missing) -> String {
    let named = missing.images.iter().take(MAX_NAMED).map(|image| format!("incomplete: {image}"));
    let rest = missing.images.len().saturating_sub(MAX_NAMED) as u64;
    let rest = (rest > 0).then(|| format!("and {}", count(rest, "further image")));
    named.chain(rest).collect::<Vec<_>>().join("\n")
}
