//! `registry certificate`: creates a private certificate authority and a certificate for this registry.
//!
//! For sites without a public name. Clients trust the authority once
//! (`/etc/docker/certs.d/HOST:PORT/ca.crt`). Its key stays in the folder, so that it can sign the next
//! certificate when one expires.
//!
//! All functions block.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::certificate_authority::Authority;
use sampan_host::atomic_write::{Existing, create_private_folder_of, write_atomically};

/// The default validity of a certificate, in days: the longest that all clients accept.
pub const DEFAULT_DAYS: u32 = 825;

/// Backdates certificates, because clocks of machines without internet differ.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::hours(24);

/// The parameters of a new certificate.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The names and addresses that clients will use, without ports. The first one is the certificate's
    /// common name.
    pub names: Vec<String>,
    /// The directory for the files.
    pub folder: PathBuf,
    /// The certificate's validity, in days.
    pub days: u32,
    /// Whether to replace an existing certificate. An existing authority is always kept.
    pub existing: Existing,
}

/// The files in the directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// `ca.crt`: the certificate that clients must trust.
    pub authority: PathBuf,
    /// `ca.key`: signs further certificates; the registry itself does not need it.
    pub authority_key: PathBuf,
    /// `domain.crt`: for `http.tls.certificate`.
    pub certificate: PathBuf,
    /// `domain.key`: for `http.tls.key`.
    pub key: PathBuf,
}

/// A certificate that was created.
#[derive(Clone, Debug)]
pub struct CreatedCertificate {
    /// Its files.
    pub files: CertificateFiles,
    /// The end of its validity, if the authority's comes before the one that was asked for.
    pub capped_at: Option<OffsetDateTime>,
}

/// Why no certificate was created.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The request has no name.
    #[error("give at least one name or address that clients will use")]
    NoName,
    /// A name is not valid in a certificate.
    #[error(
        "`{0}` is not valid in a certificate: give a host name or an IP address, without scheme, port or path"
    )]
    Name(String),
    /// The certificate exists.
    #[error("{} already exists; pass `--replace` to overwrite it or choose another directory", .0.display())]
    Exists(PathBuf),
    /// Only one file of the authority exists.
    #[error(
        "{} exists without {}: restore the missing file, or move the other one away to create a new authority",
        .present.display(), .missing.display()
    )]
    HalfAuthority {
        /// The file that exists.
        present: PathBuf,
        /// The file that is missing.
        missing: PathBuf,
    },
    /// There is a certificate, but no authority that could have signed it.
    #[error(
        "{} exists, but {} and its key, which keep their place when a certificate is replaced, are missing: restore them, or \
         move the certificate away to create a new authority, which all clients have to trust again",
        .certificate.display(), .missing.display()
    )]
    NoAuthority {
        /// The certificate.
        certificate: PathBuf,
        /// The authority's certificate.
        missing: PathBuf,
    },
    /// A file of the authority cannot be used.
    #[error(
        "{} cannot be used: {problem}; restore it, or move ca.crt, ca.key and the certificate away to create a new authority",
        .path.display()
    )]
    DamagedAuthority {
        /// The file.
        path: PathBuf,
        /// Its fault.
        problem: String,
    },
    /// The key is another authority's.
    #[error(
        "{} is not the key of {}, so clients would refuse what it signs: restore the key that belongs to the certificate, or \
         move both away to create a new authority",
        .key.display(), .certificate.display()
    )]
    ForeignKey {
        /// The authority's certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The authority is not valid now.
    #[error(
        "the authority in {} {when}, so clients would refuse what it signs: correct this machine's clock if it is wrong, or \
         move ca.crt, ca.key and the certificate away to create a new authority, which all clients have to trust again",
        .path.display()
    )]
    InvalidAuthority {
        /// The authority's certificate.
        path: PathBuf,
        /// What its dates say.
        when: String,
    },
    /// A file is not readable or writable.
    #[error("cannot read or write {}", .path.display())]
    File {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The cryptography library failed.
    #[error("cannot create the certificate")]
    Crypto(#[from] rcgen::Error),
}

/// Creates a certificate signed by the directory's authority, and first the authority if it is missing.
///
/// Only the owner can read the keys. A crash leaves each file whole or absent, and writes a key before its
/// certificate.
///
/// # Errors
///
/// See [`CertificateError`]; an existing certificate is then unchanged.
pub fn create(request: &CertificateRequest) -> Result<CreatedCertificate, CertificateError> {
    let CertificateRequest { names, folder, days, existing } = request;
    let common_name = names.first().ok_or(CertificateError::NoName)?;
    for name in names {
        check_name(name)?;
    }
    let files = CertificateFiles {
        authority: folder.join("ca.crt"),
        authority_key: folder.join("ca.key"),
        certificate: folder.join("domain.crt"),
        key: folder.join("domain.key"),
    };
    if *existing == Existing::Keep {
        for path in [&files.certificate, &files.key] {
            if exists(path)? {
                return Err(CertificateError::Exists(path.clone()));
            }
        }
    }
    create_private_folder_of(&files.key)
        .map_err(|source| CertificateError::File { path: folder.clone(), source })?;

    let now = OffsetDateTime::now_utc();
    let authority = Authority::of(&files, now)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.clone())?;
    let wanted_end = now + Duration::days(i64::from(*days));
    params.not_before = now - CLOCK_TOLERANCE;
    params.not_after = wanted_end.min(authority.not_after);
    params.distinguished_name.push(DnType::CommonName, common_name.as_str());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority.issuer)?;
    write(&files.key, &key.serialize_pem(), 0o600, *existing)?;
    write(&files.certificate, &certificate.pem(), 0o644, *existing)?;
    let capped_at = (authority.not_after < wanted_end).then_some(authority.not_after);
    Ok(CreatedCertificate { files, capped_at })
}

fn check_name(name: &str) -> Result<(), CertificateError> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    let is_host = name.len() <= 253 && host.split('.').all(label);
    if is_host || name.parse::<IpAddr>().is_ok() {
        Ok(())
    } else {
        Err(CertificateError::Name(name.to_owned()))
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, CertificateError> {
    path.try_exists().map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

pub(super) fn read(path: &Path) -> Result<String, CertificateError> {
    fs::read_to_string(path).map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

pub(super) fn write(path: &Path, text: &str, mode: u32, existing: Existing) -> Result<(), CertificateError> {
    write_atomically(path, text.as_bytes(), mode, existing)
        .map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn request(folder: &Path, names: &[&str], existing: Existing) -> CertificateRequest {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateRequest { names, folder: folder.to_owned(), days: 30, existing }
    }

    #[test]
    fn keys_are_private_and_a_second_certificate_has_the_same_authority() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("certs");
        let files =
            create(&request(&folder, &["registry.local", "192.0.2.1"], Existing::Keep)).unwrap().files;
        for key in [&files.key, &files.authority_key] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let before = (fs::read(&files.authority).unwrap(), fs::read(&files.certificate).unwrap());
        let again = create(&request(&folder, &["registry.local"], Existing::Keep)).unwrap_err().to_string();
        assert!(again.contains("domain.crt already exists"), "{again}");
        create(&request(&folder, &["registry.local"], Existing::Replace)).unwrap();
        assert_eq!(fs::read(&files.authority).unwrap(), before.0);
        assert_ne!(fs::read(&files.certificate).unwrap(), before.1);
    }

    #[test]
    fn half_an_authority_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let files = create(&request(dir.path(), &["a"], Existing::Keep)).unwrap().files;
        fs::remove_file(&files.authority_key).unwrap();
        let error = create(&request(dir.path(), &["a"], Existing::Replace)).unwrap_err();
        assert!(matches!(error, CertificateError::HalfAuthority { .. }), "{error}");
        assert!(files.authority.exists());
    }

    /// Replaces a certificate after `spoil` changed the authority; the old certificate must stay.
    fn refusal(spoil: impl FnOnce(&CertificateFiles)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let files = create(&request(dir.path(), &["a"], Existing::Keep)).unwrap().files;
        let before = (fs::read(&files.key).unwrap(), fs::read(&files.certificate).unwrap());
        spoil(&files);
        let error = create(&request(dir.path(), &["a"], Existing::Replace)).unwrap_err().to_string();
        assert_eq!((fs::read(&files.key).unwrap(), fs::read(&files.certificate).unwrap()), before, "{error}");
        error
    }

    /// Replaces the authority by one that is valid for these days from now.
    fn write_authority(files: &CertificateFiles, first_day: i64, last_day: i64) {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = OffsetDateTime::now_utc() + Duration::days(first_day);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(last_day);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        fs::write(&files.authority, params.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(&files.authority_key, pair.serialize_pem()).unwrap();
    }

    #[test]
    fn the_key_of_another_authority_signs_nothing() {
        let error = refusal(|files| {
            let other = KeyPair::generate().unwrap();
            fs::write(&files.authority_key, other.serialize_pem()).unwrap();
        });
        assert!(error.contains("ca.key is not the key of"), "{error}");
    }

    #[test]
    fn an_authority_that_is_not_valid_now_signs_nothing() {
        let expired = refusal(|files| write_authority(files, -10, -1));
        assert!(expired.contains("ca.crt expired on "), "{expired}");
        let early = refusal(|files| write_authority(files, 2, 10));
        assert!(early.contains("ca.crt is not valid before "), "{early}");
    }

    #[test]
    fn a_damaged_authority_is_named() {
        let key = refusal(|files| fs::write(&files.authority_key, "-----BEGIN X-----\n?\n").unwrap());
        assert!(key.contains("ca.key cannot be used"), "{key}");
        let certificate = refusal(|files| fs::write(&files.authority, "nothing").unwrap());
        assert!(certificate.contains("ca.crt cannot be used"), "{certificate}");
        let no_authority = refusal(|files| {
            fs::copy(&files.certificate, &files.authority).unwrap();
            fs::copy(&files.key, &files.authority_key).unwrap();
        });
        assert!(no_authority.contains("not the certificate of an authority"), "{no_authority}");
    }

    #[test]
    fn a_certificate_without_its_authority_is_not_replaced() {
        let error = refusal(|files| {
            fs::remove_file(&files.authority).unwrap();
            fs::remove_file(&files.authority_key).unwrap();
        });
        assert!(error.contains("domain.crt exists, but") && error.contains("ca.crt"), "{error}");
    }

    #[test]
    fn a_certificate_ends_with_its_authority() {
        let dir = tempfile::tempdir().unwrap();
        let whole = create(&request(dir.path(), &["a"], Existing::Keep)).unwrap();
        assert_eq!(whole.capped_at, None);
        write_authority(&whole.files, -1, 10);
        let capped = create(&request(dir.path(), &["a"], Existing::Replace)).unwrap();
        let end = capped.capped_at.expect("the authority ends first");
        let pem = fs::read(&capped.files.certificate).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        assert_eq!(pem.parse_x509().unwrap().validity().not_after.timestamp(), end.unix_timestamp());
    }

    #[test]
    fn only_names_and_addresses_are_accepted() {
        for name in ["localhost", "a.b-c.example", "*.example", "192.0.2.1", "2001:db8::1", "my_registry"] {
            check_name(name).unwrap();
        }
        for name in ["", "https://a", "a:5000", "a/b", "a..b", "ä", "*", "a.*.b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(create(&request(dir.path(), &[], Existing::Keep)), Err(CertificateError::NoName)));
    }
}
