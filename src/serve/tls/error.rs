//! `TlsError`: why a TLS section is not usable.

use std::io;
use std::path::PathBuf;

use sampan_host::file_watch::how_to_make_readable;

/// A TLS section that is not usable. Each message names the key, the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not readable.
    #[error("cannot read {key} {}: {}", .path.display(), how_to_make_readable(.source))]
    Read {
        /// The configuration key.
        key: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file contains no certificate.
    #[error("{key} {} has no certificate in PEM format (`-----BEGIN CERTIFICATE-----`){hint}", .path.display())]
    NoCertificate {
        /// The configuration key.
        key: &'static str,
        /// The file's path.
        path: PathBuf,
        /// A guess at the file's content.
        hint: &'static str,
    },
    /// A certificate is not parseable.
    #[error("certificate number {number} of {key} {} is damaged ({problem}): replace the file", .path.display())]
    BadCertificate {
        /// The configuration key.
        key: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The certificate's position in the file, from one.
        number: usize,
        /// The cause.
        problem: String,
    },
    /// The key file contains no key.
    #[error("http.tls.key {} has no private key in PEM format (`-----BEGIN … PRIVATE KEY-----`){hint}", .path.display())]
    NoKey {
        /// The file's path.
        path: PathBuf,
        /// A guess at the file's content.
        hint: &'static str,
    },
    /// A passphrase protects the key file.
    #[error(
        "the private key in http.tls.key {0} is encrypted, and the registry cannot ask for the passphrase: \
         decrypt it with `openssl pkey -in {0} -out NEW.key` and protect the new file by its mode", .path.display()
    )]
    EncryptedKey {
        /// The file's path.
        path: PathBuf,
    },
    /// The key's type is not supported.
    #[error(
        "the private key in http.tls.key {} cannot be used: it must be RSA of at least 2048 bits, \
         ECDSA over P-256, P-384 or P-521, or Ed25519", .path.display()
    )]
    UnusableKey {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
    /// Certificate and key do not match.
    #[error(
        "the private key in {} does not match the first certificate in {}: \
         configure matching files, with the server's own certificate before those of its issuers",
        .key.display(), .certificate.display()
    )]
    NotAPair {
        /// The certificate's path.
        certificate: PathBuf,
        /// The key's path.
        key: PathBuf,
    },
    /// A cipher suite is not supported.
    #[error("http.tls.ciphersuites: `{name}` is {problem}; remove it, or choose from {available}")]
    CipherSuite {
        /// The name in the configuration.
        name: String,
        /// Why the suite is not available.
        problem: &'static str,
        /// The available names.
        available: String,
    },
    /// rustls refuses the combination.
    #[error("http.tls cannot be served as configured")]
    Rustls(#[from] rustls::Error),
}
