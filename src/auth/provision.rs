//! Creates a missing password file.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::atomic_write::{Existing, create_private_folder_of, write_atomically};

/// The cost of new hashes: bcrypt's own default, some 50 ms on a present machine.
pub(super) const COST: u32 = 10;

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
