//! Creates a missing password file.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::atomic_write::{Existing, create_private_folder_of, write_atomically};

/// The cost of new hashes: bcrypt's own default, some 50 ms on a present machine.
pub(super) const COST: u32 = 10;

/// Checks whether [`provision`] could create the file, without creating anything: its directory, or the first one above it
/// that exists, can be written to.
pub(super) fn can_be_created(path: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(path)?;
    let above = absolute.ancestors().skip(1).find(|directory| directory.exists());
    let Some(directory) = above else { return Ok(()) };
    if !directory.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let needed = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, directory, needed, AtFlags::EACCESS)?)
}

/// Writes a file with the user `docker` and a random password, and prints the password to `output`, once.
///
/// If several replicas provision one missing file at the same time, the first one's file stays.
pub(super) fn provision(path: &Path, output: &mut impl Write) -> io::Result<()> {
    let secret: [u8; 32] = rand::random();
    let password = URL_SAFE.encode(secret);
    let hash = bcrypt::hash(&password, COST).map_err(io::Error::other)?;
    create_private_folder_of(path)?;
    match write_atomically(path, format!("docker:{hash}\n").as_bytes(), 0o600, Existing::Keep) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    tracing::warn!(
        user = "docker",
        "htpasswd is missing, provisioning with default user: created {}, with a password that is printed once, on standard error; if you \
         have such a file, correct auth.htpasswd.path and remove this one",
        path.display()
    );
    // Not to the log, which is kept and widely read. A closed standard error must not prevent the start.
    let _ = writeln!(output, "the password of the user docker in {}: {password}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_below_a_directory_can_be_created_and_one_below_a_file_cannot() {
        let directory = tempfile::tempdir().unwrap();
        can_be_created(&directory.path().join("auth/htpasswd")).unwrap();
        std::fs::write(directory.path().join("auth"), "").unwrap();
        let error = can_be_created(&directory.path().join("auth/htpasswd")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
