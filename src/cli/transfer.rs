//! The common part of commands that carry images: exit codes, files.

use std::error::Error;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use sampan_bundle::{KeyError, MAX_PLAN_BYTES, Plan, Reader, VerifyingKey};
use sampan_engine::oci::Digest;
use sampan_transfer::{PlannedFailure, RewrittenImage};

use super::input_error::of_input;
use super::terminal::{printable, warn};
use crate::atomic_write::{Existing, write_atomically};

/// The exit code of a command that has left out what it lists.
pub(super) const INCOMPLETE: u8 = 3;

/// The exit code for a bundle that is damaged, or whose signature is wrong.
pub(super) const DAMAGED: u8 = 4;

/// The exit code for content that the bundle presumes and the registry lacks.
pub(super) const PRESUMED_MISSING: u8 = 5;

/// An error that is only a message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failed(pub(super) String);

/// The exit code of an error, by the first of its causes that has one.
pub(super) fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(code) = own_code(error) {
            return code.into();
        }
        next = error.source();
    }
    ExitCode::FAILURE
}

fn own_code(error: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<sampan_transfer::Error>() {
        return match error {
            sampan_transfer::Error::PresumedMissing(_) => Some(PRESUMED_MISSING),
            error => error.is_damage().then_some(DAMAGED),
        };
    }
    if let Some(sampan_bundle_store::Error::PresumedMissing { .. }) = error.downcast_ref() {
        return Some(PRESUMED_MISSING);
    }
    let is_damage =
        match (error.downcast_ref::<sampan_bundle::Error>(), error.downcast_ref::<sampan_foreign::Error>()) {
            (Some(error), _) => error.is_damage(),
            (_, Some(error)) => error.is_damage(),
            _ => matches!(error.downcast_ref(), Some(KeyError::Wrong | KeyError::Missing)),
        };
    is_damage.then_some(DAMAGED)
}

/// Reads a file that the user named.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Standard input or output, without the buffer of the standard library.
pub(super) fn async_file(stream: impl AsFd) -> std::io::Result<tokio::fs::File> {
    Ok(tokio::fs::File::from_std(File::from(stream.as_fd().try_clone_to_owned()?)))
}

/// Writes a file of lines; into a device or a pipe, such as `/dev/stdout`, as it is.
pub(super) fn write_lines(path: &Path, lines: &[impl Display]) -> Result<(), Box<dyn Error>> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let is_stream = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let written = match is_stream {
        true => {
            OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()))
        }
        false => write_atomically(path, text.as_bytes(), 0o644, Existing::Replace),
    };
    written.map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A file that may have the plan of a bundle.
pub(super) enum MaybePlan {
    /// A bundle, or its `bundle.json`.
    Plan(Box<Plan>, Digest),
    /// Another file or a pipe, from its first byte.
    Other(Box<dyn Read>),
}

/// The plan of a bundle, or of its `bundle.json`. Opens a pipe only once, since its writer ends with its first reader.
pub(super) async fn existing_plan(path: &Path) -> Result<MaybePlan, Box<dyn Error>> {
    match Reader::head_of(&[path.to_owned()]).await {
        Ok(bundle) => return Ok(MaybePlan::Plan(Box::new(bundle.plan().clone()), bundle.name())),
        Err(sampan_bundle::Error::NotABundle(_)) => {}
        Err(error) => return Err(of_input(error.into(), &[path.to_owned()])),
    }
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    // Other files may be longer than the memory.
    (&mut file).take(1).read_to_end(&mut content).map_err(failed)?;
    if content != b"{" {
        return Ok(MaybePlan::Other(Box::new(Cursor::new(content).chain(file))));
    }
    file.take(MAX_PLAN_BYTES).read_to_end(&mut content).map_err(failed)?;
    let plan = Plan::decode(&content).map_err(|error| of_input(error.into(), &[path.to_owned()]))?;
    Ok(MaybePlan::Plan(Box::new(plan), Digest::sha256_of(&content)))
}

/// Names the images that a plan leaves out because they cannot be read.
pub(super) fn name_left_out(failures: &[PlannedFailure]) {
    for failure in failures {
        warn(printable(&format!("left out: {}: {}", failure.image, failure.problem)));
    }
}

/// Names the images whose index was rewritten, with both digests.
pub(super) fn name_rewritten(rewritten: &[RewrittenImage]) {
    for RewrittenImage { image, from, to, left_out_referrers } in rewritten {
        let referrers = match left_out_referrers {
            0 => String::new(),
            number => format!(", and what is attached to it is left out ({number})"),
        };
        warn(format!("{image}: the index {from} becomes {to}; signatures of the index are void{referrers}"));
    }
}

/// Compares the signature of a bundle with the public key in a file.
pub(super) fn verify_signature(reader: &Reader, key: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let Some(path) = key else { return Ok(()) };
    let key =
        VerifyingKey::from_pem(&read_file(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let head = reader.bundle().head();
    Ok(key.verify(&head.plan, head.signature.as_deref())?)
}
