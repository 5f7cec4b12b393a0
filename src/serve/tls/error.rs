//! Why TLS cannot be served as configured.

use std::io;
use std::path::PathBuf;

use crate::files::how_to_make_readable;

/// A TLS section that cannot be served. Each message names the key, the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {key} {}: {}", .path.display(), how_to_make_readable(.source))]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file that should have a certificate has none.
    #[error("{key} {} has no certificate in PEM form (`-----BEGIN CERTIFICATE-----`){hint}", .path.display())]
    NoCertificate {
        /// The key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the file may be instead.
        hint: &'static str,
    },
    /// A certificate cannot be read.
    #[error("certificate number {number} of {key} {} is damaged ({problem}): write the file anew", .path.display())]
    BadCertificate {
        /// The key of the configuration.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Which of the file's certificates, counted from one.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The key file has no key.
    #[error("http.tls.key {} has no private key in PEM form (`-----BEGIN … PRIVATE KEY-----`){hint}", .path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// What the file may be instead.
        hint: &'static str,
    },
    /// The key file is protected by a passphrase.
    #[error(
        "the private key in http.tls.key {0} is encrypted and nobody is there to type the passphrase: \
         decrypt it with `openssl pkey -in {0} -out NEW.key` and protect the new file by its mode", .path.display()
    )]
    EncryptedKey {
        /// Which file.
        path: PathBuf,
    },
    /// The key is of a kind we cannot sign with.
    #[error(
        "the private key in http.tls.key {} cannot be used: it must be RSA of at least 2048 bits, \
         ECDSA over P-256, P-384 or P-521, or Ed25519", .path.display()
    )]
    UnusableKey {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: rustls::Error,
    },
    /// Certificate and key are not a pair.
    #[error(
        "the private key in {} is not that of the first certificate in {}: \
         give the files that belong together, with the server's own certificate before those of its issuers",
        .key.display(), .certificate.display()
    )]
    NotAPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A cipher suite is not one of ours.
    #[error("http.tls.ciphersuites: `{name}` is {problem}; remove it, or choose from {available}")]
    CipherSuite {
        /// The name in the configuration.
        name: String,
        /// Why it is not available.
        problem: &'static str,
        /// The names of those that are.
        available: String,
    },
    /// The client authorities cannot be used.
    #[error("http.tls.clientcas cannot be used to verify clients")]
    ClientAuthorities(#[source] rustls::server::VerifierBuilderError),
    /// rustls refuses the combination.
    #[error("http.tls cannot be served as configured")]
    Rustls(#[from] rustls::Error),
}
