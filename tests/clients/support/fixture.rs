//! A folder with all files that a registry with TLS and passwords needs.

use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tempfile::TempDir;

use super::{RegistryProcess, registry};
use crate::cli::support::{binary, end};

/// Certificates, users and data of a registry.
pub(crate) struct Fixture {
    directory: TempDir,
}

impl Fixture {
    /// Makes an authority, and a certificate for a host.
    #[track_caller]
    pub(crate) fn new(host: &str) -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        site.certify(host);
        site
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same, as an argument for a command.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Makes another certificate of the same authority.
    #[track_caller]
    pub(crate) fn certify(&self, host: &str) {
        let made = end(self.registry().args(["certificate", "--replace", "--out", "certs", host]), "");
        assert_eq!(made.code, Some(0), "{made:?}");
    }

    /// Adds a user, or changes a password.
    #[track_caller]
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        fs::create_dir_all(self.path("auth")).unwrap();
        let added = end(self.registry().args(["htpasswd", "add", "auth/htpasswd", user]), password);
        assert_eq!(added.code, Some(0), "{added:?}");
    }

    /// Makes a folder with the files that clients look for in `certs.d/HOST:PORT`: the authority, and perhaps a client
    /// certificate.
    #[track_caller]
    pub(crate) fn client(&self, name: &str, identity: bool) -> String {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(self.path("certs/ca.crt"), folder.join("ca.crt")).unwrap();
        if identity {
            let read = |name: &str| fs::read_to_string(self.path(name)).unwrap();
            let authority = KeyPair::from_pem(&read("certs/ca.key")).unwrap();
            let issuer = Issuer::from_ca_cert_pem(&read("certs/ca.crt"), authority).unwrap();
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(folder.join("client.cert"), certificate.pem()).unwrap();
            fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
        }
        folder.display().to_string()
    }

    /// The content of `tls:` in the configuration, for the certificate of this site.
    pub(crate) fn tls(&self) -> String {
        format!("certificate: {}, key: {}", self.text("certs/domain.crt"), self.text("certs/domain.key"))
    }

    /// Serves the data of this site; `http` and `rest` are YAML.
    #[track_caller]
    pub(crate) fn serve(&self, http: &str, rest: &str) -> RegistryProcess {
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{{http}}}\n{rest}\n",
            self.text("data")
        );
        registry(self.directory.path(), &config)
    }

    /// The section `auth:` for the users of this site.
    pub(crate) fn auth(&self) -> String {
        format!("auth: {{htpasswd: {{realm: Registry Realm, path: {}}}}}", self.text("auth/htpasswd"))
    }

    fn registry(&self) -> std::process::Command {
        binary(self.directory.path())
    }
}
