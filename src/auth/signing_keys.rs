//! `SigningKeys`: the keys that sign this registry's own tokens.
//!
//! The first key signs, all of them verify: a new key is put first, and the old one stays until its tokens
//! have expired. Only Ed25519 (RFC 8037), which signs fast and needs no random numbers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use sampan_config::{RegularFileError, read_regular_file};

use super::token::own::{Key, VerifiedTokens};
use crate::atomic_write::{Existing, create_private_folder_of, lock_folder_of, write_atomically};
use crate::file_watch::how_to_make_readable;

/// The largest key file, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The error of an unusable file of signing keys.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file is not readable.
    #[error("cannot read access.tokens.signingkey {}: {}", .path.display(), how_to_make_readable(.source))]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is missing and cannot be created.
    #[error(
        "access.tokens.signingkey {} is missing and cannot be created: create it with \
         `openssl genpkey -algorithm ed25519 -out {0}`", .path.display()
    )]
    Create {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has no usable key.
    #[error("access.tokens.signingkey {}: {problem}", .path.display())]
    Unusable {
        /// The file's path.
        path: PathBuf,
        /// The problem and the remedy.
        problem: &'static str,
    },
}

/// The keys of a file: the first signs, all verify.
pub(super) struct SigningKeys {
    first: Ed25519KeyPair,
    ids: Vec<String>,
    keys: Vec<Key>,
    session_secrets: Vec<[u8; 32]>,
    /// Tokens verified with these keys; dropped together with them.
    pub(super) verified: VerifiedTokens,
}

impl SigningKeys {
    /// Makes a key that only this process knows.
    pub(super) fn of_this_process() -> io::Result<Self> {
        Self::parse(&new_key()?).map_err(io::Error::other)
    }

    /// Reads the file at `path`, and creates a missing one. Blocks.
    ///
    /// # Errors
    ///
    /// The file is unreadable, has no usable key, or cannot be created.
    pub(super) fn open(path: &Path) -> Result<Self, SigningKeyError> {
        match Self::read(path) {
            Err(SigningKeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|source| SigningKeyError::Create { path: path.to_owned(), source })?;
                Self::read(path)
            }
            other => other,
        }
    }

    /// Reads the file at `path`. Blocks.
    ///
    /// # Errors
    ///
    /// The file is unreadable or has no usable key.
    pub(super) fn read(path: &Path) -> Result<Self, SigningKeyError> {
        Self::of(path, &content_of(path)?)
    }

    fn of(path: &Path, content: &[u8]) -> Result<Self, SigningKeyError> {
        Self::parse(content).map_err(|problem| SigningKeyError::Unusable { path: path.to_owned(), problem })
    }

    fn parse(pem: &[u8]) -> Result<Self, &'static str> {
        let mut pairs = Vec::new();
        for der in PrivatePkcs8KeyDer::pem_slice_iter(pem) {
            let der = der.map_err(|_| "it is not PEM")?;
            let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der());
            pairs.push(pair.map_err(
                |_| "a key is not of Ed25519: `openssl genpkey -algorithm ed25519` makes one that is",
            )?);
        }
        let keys: Vec<Key> =
            pairs.iter().map(|pair| Key::Ed25519(pair.public_key().as_ref().to_vec())).collect();
        let ids = keys.iter().flat_map(Key::thumbprints).collect();
        let session_secrets = pairs.iter().map(session_secret).collect::<Result<_, _>>();
        let session_secrets = session_secrets.map_err(|_| "a key has no seed")?;
        let first = pairs.into_iter().next().ok_or(
            "it has no unencrypted private key in PEM (`-----BEGIN PRIVATE KEY-----`): \
             `openssl genpkey -algorithm ed25519` makes one",
        )?;
        Ok(Self { first, ids, keys, session_secrets, verified: VerifiedTokens::default() })
    }

    /// The id of the key that signs: its thumbprint (RFC 7638).
    pub(super) fn id(&self) -> &str {
        &self.ids[0]
    }

    /// The key with this id.
    pub(super) fn key(&self, id: &str) -> Option<&Key> {
        self.ids.iter().position(|known| known == id).map(|index| &self.keys[index])
    }

    /// A secret for the sessions of the web page from each key, that of the key that signs first. It depends on the key alone,
    /// so that registries with one key have the same.
    pub(super) fn session_secrets(&self) -> &[[u8; 32]] {
        &self.session_secrets
    }

    /// Signs with the first key.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.first.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("ids", &self.ids).finish_non_exhaustive()
    }
}

fn session_secret(pair: &Ed25519KeyPair) -> Result<[u8; 32], Unspecified> {
    let seed = pair.seed()?.as_be_bytes()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref());
    hmac::sign(&key, b"sampan: sessions of the web page").as_ref().try_into().map_err(|_| Unspecified)
}

/// Puts a new key before those in the file, or creates the file. Of calls at the same time none is lost. Blocks.
///
/// # Errors
///
/// The file is unreadable, unusable, full or not writable; it is then unchanged.
pub fn rotate_signing_key(path: &Path) -> Result<(), SigningKeyError> {
    let create = |source| SigningKeyError::Create { path: path.to_owned(), source };
    create_private_folder_of(path).map_err(create)?;
    let _lock = lock_folder_of(path).map_err(create)?;
    let before = match content_of(path) {
        Ok(content) => SigningKeys::of(path, &content).map(|_| content)?,
        Err(SigningKeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(other) => return Err(other),
    };
    let keys = [new_key().map_err(create)?, before].concat();
    if keys.len() as u64 > MAX_FILE_BYTES {
        // Which tokens are still valid, and which keys the others of a set of registries use, is not known here.
        let problem = "with another key it is longer than 64 KiB, which no registry reads, so it is unchanged: remove old keys \
                       from its end";
        return Err(SigningKeyError::Unusable { path: path.to_owned(), problem });
    }
    write_atomically(path, &keys, 0o600, Existing::Replace).map_err(create)
}

fn content_of(path: &Path) -> Result<Vec<u8>, SigningKeyError> {
    read_regular_file(path, MAX_FILE_BYTES).map_err(|error| match error {
        RegularFileError::TooLong(_) => SigningKeyError::Unusable {
            path: path.to_owned(),
            problem: "it is longer than 64 KiB; if it is a file of keys, remove old ones from its end",
        },
        other => SigningKeyError::Read { path: path.to_owned(), source: other.into() },
    })
}

/// Creates the file unless another process is faster.
fn create(path: &Path) -> io::Result<()> {
    create_private_folder_of(path)?;
    let _lock = lock_folder_of(path)?;
    match write_atomically(path, &new_key()?, 0o600, Existing::Keep) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => {
            tracing::info!("the key that signs tokens was created: {}", path.display());
            Ok(())
        }
        other => other,
    }
}

/// A new key in PEM.
fn new_key() -> io::Result<Vec<u8>> {
    let pair = Ed25519KeyPair::generate().map_err(io::Error::other)?;
    let der = pair.to_pkcs8v1().map_err(io::Error::other)?;
    // An Ed25519 key fits on one line of 64 characters.
    let line = STANDARD.encode(der.as_ref());
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_created_once_and_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/signing.pem");
        let first = SigningKeys::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = SigningKeys::open(&path).unwrap();
        assert_eq!(first.id(), second.id());
        let key = second.key(first.id()).unwrap();
        assert!(key.verifies(sampan_config::SigningAlgorithm::EdDsa, b"text", &first.sign(b"text")));
    }

    #[test]
    fn a_rotated_key_signs_and_the_old_one_still_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        rotate_signing_key(&path).unwrap();
        let old = SigningKeys::read(&path).unwrap();
        rotate_signing_key(&path).unwrap();
        let new = SigningKeys::read(&path).unwrap();
        assert_ne!(new.id(), old.id());
        assert!(new.key(old.id()).is_some() && old.key(new.id()).is_none());
        // A replica with the same keys has the same secrets for sessions, and a removed key takes its own along.
        assert_eq!(SigningKeys::read(&path).unwrap().session_secrets(), new.session_secrets());
        assert_eq!((new.session_secrets().len(), &new.session_secrets()[1..]), (2, old.session_secrets()));
        assert_ne!(new.session_secrets()[0], old.session_secrets()[0]);
    }

    #[test]
    fn of_rotations_at_the_same_time_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/signing.pem");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| rotate_signing_key(&path).unwrap());
            }
        });
        assert_eq!(SigningKeys::read(&path).unwrap().keys.len(), 8);
    }

    #[test]
    fn a_rotation_leaves_a_file_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        let key = new_key().unwrap();
        std::fs::write(&path, key.repeat(MAX_FILE_BYTES as usize / key.len())).unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = rotate_signing_key(&path).unwrap_err().to_string();
        assert!(error.contains("64 KiB") && error.contains("remove old keys"), "{error}");
        assert!(std::fs::read(&path).unwrap() == before && SigningKeys::read(&path).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_remedy() {
        let ecdsa = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (content, expected) in [
            (&b""[..], "no unencrypted private key"),
            (b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n", "not PEM"),
            (ecdsa.as_bytes(), "not of Ed25519"),
        ] {
            let problem = SigningKeys::parse(content).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = SigningKeys::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it is a directory"), "{error}");
        let long = folder.path().join("long");
        std::fs::write(&long, new_key().unwrap().repeat(1000)).unwrap();
        let error = SigningKeys::open(&long).unwrap_err().to_string();
        assert!(error.contains("longer than 64 KiB"), "{error}");
        assert!(rotate_signing_key(folder.path()).is_err());
    }
}
