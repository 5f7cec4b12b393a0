//! `AuthFile`: docker's `config.json` and podman's `auth.json`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::{Credential, CredentialError, Secret};
use crate::address::RegistryAddress;

/// The logins of a file (containers-auth.json(5); docker `cli/config/configfile`). Other keys are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AuthFile {
    #[serde(skip)]
    path: PathBuf,
    auths: BTreeMap<String, Login>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// A possible source of a credential.
#[derive(Debug)]
pub(super) enum Entry {
    Stored(Credential),
    /// The program, and the name by which it knows the registry.
    Helper {
        program: String,
        server: String,
    },
}

/// The longest file to read.
const MAX_BYTES: u64 = 16 << 20;

/// Docker Hub's key in docker's files.
const HUB_KEY: &str = "https://index.docker.io/v1/";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl AuthFile {
    /// Reads the files that exist.
    pub(super) async fn read_all(paths: Vec<PathBuf>) -> Result<Vec<Self>, CredentialError> {
        let read = move || paths.iter().filter_map(|path| Self::read(path).transpose()).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let unreadable = |problem: String| CredentialError::Unreadable { path: path.to_owned(), problem };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(unreadable("it is longer than 16 MiB".to_owned()));
        }
        Self::parse(path, &bytes).map(Some)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CredentialError> {
        // podman writes an empty file as a place for logins.
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let damaged = |error: serde_json::Error| {
            // serde's own message may quote a value.
            let problem = format!("no JSON of logins at line {} column {}", error.line(), error.column());
            CredentialError::Damaged { path: path.to_owned(), problem }
        };
        let file: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        Ok(Self { path: path.to_owned(), ..file })
    }

    /// The places of a registry's credential, the first to be tried first: a helper of its own, the common helper, and the
    /// file; each with the most specific key first.
    pub(super) fn entries(
        &self,
        address: &RegistryAddress,
        repository: Option<&str>,
    ) -> impl Iterator<Item = Entry> {
        let keys = keys(address, repository);
        let own = keys.iter().find_map(|key| {
            let (server, helper) =
                self.cred_helpers.iter().find(|(name, _)| normalized(name) == normalized(key))?;
            Some((server.clone(), helper))
        });
        let common = || {
            // Docker gives a store the key of its files.
            let server = if address.is_docker_hub() { HUB_KEY } else { address.name() };
            Some((server.to_owned(), &self.creds_store)).filter(|(_, helper)| !helper.is_empty())
        };
        let helper = own.filter(|(_, helper)| !helper.is_empty()).or_else(common);
        let helper = helper
            .map(|(server, helper)| Entry::Helper { program: format!("docker-credential-{helper}"), server });
        let stored = keys.iter().find_map(|key| {
            let found = self.auths.iter().filter(|(name, _)| normalized(name) == normalized(key));
            found.filter_map(|(_, login)| login.credential()).next()
        });
        helper.into_iter().chain(stored.map(Entry::Stored))
    }
}

impl Login {
    /// The login, if it is one: docker leaves an empty entry where a helper has the password.
    fn credential(&self) -> Option<Credential> {
        let secret = |text: &str| Secret::new(text);
        if !self.identitytoken.is_empty() {
            return Some(Credential::IdentityToken(secret(&self.identitytoken)));
        }
        if !self.registrytoken.is_empty() {
            return Some(Credential::RegistryToken(secret(&self.registrytoken)));
        }
        let decoded = BASE64.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
            // As docker: some versions wrote zeros after the password.
            return Some(Credential::Password {
                user: user.to_owned(),
                password: secret(password.trim_matches('\0')),
            });
        }
        let is_set = !self.username.is_empty();
        is_set.then(|| Credential::Password { user: self.username.clone(), password: secret(&self.password) })
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(login)")
    }
}

/// The keys of a registry, the most specific first: `host/a/b`, `host/a`, `host`.
fn keys(address: &RegistryAddress, repository: Option<&str>) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = repository;
    while let Some(text) = path {
        keys.push(format!("{}/{text}", address.name()));
        path = text.rsplit_once('/').map(|(above, _)| above);
    }
    keys.push(address.name().to_owned());
    if let Some(host) = address.name().strip_suffix(":443") {
        keys.push(host.to_owned());
    }
    if address.is_docker_hub() {
        keys.extend(["index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    keys
}

/// A key without scheme and API version: `https://index.docker.io/v1/` is `index.docker.io`.
fn normalized(key: &str) -> &str {
    let (_, rest) = key.split_once("://").unwrap_or(("", key));
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix("/v1").or_else(|| rest.strip_suffix("/v2")).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as ENCODER;

    use super::*;

    fn file(json: &str) -> AuthFile {
        AuthFile::parse(Path::new("/x/config.json"), json.as_bytes()).unwrap()
    }

    /// The places of a credential, for comparison.
    fn found(file: &AuthFile, registry: &str, repository: Option<&str>) -> Vec<String> {
        let address = registry.parse().unwrap();
        let entries = file.entries(&address, repository);
        let shown = entries.map(|entry| match entry {
            Entry::Stored(Credential::Password { user, password }) => format!("{user}:{}", password.expose()),
            Entry::Stored(Credential::IdentityToken(token)) => format!("identity {}", token.expose()),
            Entry::Stored(other) => format!("{other:?}"),
            Entry::Helper { program, server } => format!("{program} {server}"),
        });
        shown.collect()
    }

    #[test]
    fn logins_are_found_by_host_in_the_forms_of_docker_and_podman() {
        let auth = |text: &str| ENCODER.encode(text);
        let file = file(&format!(
            r#"{{"auths":{{
                "https://index.docker.io/v1/":{{"auth":"{}"}},
                "https://old.example/v2/":{{"auth":"{}"}},
                "registry.example:5000":{{"auth":"{}"}},
                "registry.example":{{"username":"plain","password":"p"}},
                "quay.io":{{"auth":"{}"}},
                "quay.io/team":{{"auth":"{}"}},
                "quay.io/team/app":{{"auth":"{}"}},
                "azure.example":{{"auth":"{}","identitytoken":"refresh"}},
                "empty.example":{{}}
            }},"HttpHeaders":{{}},"currentContext":"x"}}"#,
            auth("hub:a:b"),
            auth("old:p\0\0"),
            auth("port:p"),
            auth("quay:p"),
            auth("team:p"),
            auth("app:p"),
            auth("00000000-0000-0000-0000-000000000000:"),
        ));
        for (registry, repository, expected) in [
            ("docker.io", None, "hub:a:b"),
            ("docker.io", Some("library/nginx"), "hub:a:b"),
            ("old.example", None, "old:p"),
            ("registry.example:5000", None, "port:p"),
            ("registry.example", Some("a/b"), "plain:p"),
            ("registry.example:443", None, "plain:p"),
            ("quay.io", Some("other/app"), "quay:p"),
            ("quay.io", Some("team/other"), "team:p"),
            ("quay.io", Some("team/app"), "app:p"),
            ("quay.io", Some("team/app/more"), "app:p"),
            ("quay.io", Some("teams"), "quay:p"),
            ("quay.io", None, "quay:p"),
            ("https://azure.example", None, "identity refresh"),
        ] {
            assert_eq!(found(&file, registry, repository), [expected], "{registry} {repository:?}");
        }
        for registry in ["empty.example", "other.example", "registry.example:5001", "io"] {
            assert!(found(&file, registry, None).is_empty(), "{registry}");
        }
    }

    #[test]
    fn helpers_come_before_the_file() {
        let file = file(
            r#"{"auths":{"a.example":{"auth":"eDp5"},"b.example":{}},
                "credHelpers":{"a.example":"own","docker.io":"hub","off.example":""},"credsStore":"common"}"#,
        );
        assert_eq!(found(&file, "a.example", None), ["docker-credential-own a.example", "x:y"]);
        assert_eq!(found(&file, "b.example", Some("r")), ["docker-credential-common b.example"]);
        assert_eq!(found(&file, "docker.io", None), ["docker-credential-hub docker.io"]);
        let file = self::file(r#"{"credsStore":"common"}"#);
        assert_eq!(found(&file, "docker.io", None), ["docker-credential-common https://index.docker.io/v1/"]);
    }

    #[test]
    fn a_damaged_file_is_named_without_its_content() {
        for json in
            ["{", r#"{"auths":{"a":{"auth":5,"password":"hunter2"}}}"#, r#"{"auths":"hunter2"}"#, "hunter2"]
        {
            let error =
                AuthFile::parse(Path::new("/x/config.json"), json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("/x/config.json") && !error.contains("hunter2"), "{error}");
        }
        assert!(AuthFile::parse(Path::new("/x"), b" \n").is_ok());
    }
}
