//! `Credentials`: the source of the user and password for a registry.

mod auth_file;
mod helper;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::address::RegistryAddress;
use crate::hasher::fingerprint;
use auth_file::{AuthFile, Entry};

/// Text that no log and no error shows.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A login at one registry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Credential {
    /// None.
    #[default]
    Anonymous,
    /// A user with a password or an access token.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token of the registry's token server (docker's `identitytoken`).
    IdentityToken(Secret),
    /// A bearer token for the registry itself (docker's `registrytoken`).
    RegistryToken(Secret),
}

impl Credential {
    /// The user, or the kind of token, for messages.
    pub fn user(&self) -> &str {
        match self {
            Self::Anonymous => "an anonymous user",
            Self::Password { user, .. } => user,
            Self::IdentityToken(_) => "the identity token",
            Self::RegistryToken(_) => "the registry token",
        }
    }

    /// A hash that tells credentials apart.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let (kind, user, secret) = match self {
            Self::Anonymous => ("anonymous", "", ""),
            Self::Password { user, password } => ("password", user.as_str(), password.expose()),
            Self::IdentityToken(token) => ("identity", "", token.expose()),
            Self::RegistryToken(token) => ("registry", "", token.expose()),
        };
        fingerprint([kind, user, secret].map(str::as_bytes))
    }
}

/// Why the credentials for a registry cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file of credentials cannot be read.
    #[error("cannot read the credentials in {}: {problem}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        problem: String,
    },
    /// A file of credentials is damaged.
    #[error("the credentials in {} are damaged: {problem}; log in again to write them again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage, without content.
        problem: String,
    },
    /// A credential helper failed.
    #[error("the credential helper {program} failed: {problem}; to see why: echo {server} | {program} get")]
    Helper {
        /// The program.
        program: String,
        /// The name by which it knows the registry.
        server: String,
        /// The failure, without the program's output.
        problem: String,
    },
}

/// The source of credentials. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Credentials(Arc<Source>);

#[derive(Default)]
enum Source {
    #[default]
    Anonymous,
    Fixed(Credential),
    Files(Files),
    Helper(Program),
    PasswordFile {
        user: String,
        path: PathBuf,
    },
}

/// A credential helper that is used for every registry.
struct Program {
    path: String,
    lifetime: Option<Duration>,
    /// Its last answer and the time of that. Held while the helper runs, so that it runs once at a time.
    said: tokio::sync::Mutex<Option<(Instant, Credential)>>,
}

struct Files {
    paths: Vec<PathBuf>,
    /// The content of the files, once they were needed.
    read: OnceCell<Vec<AuthFile>>,
    /// The answers of helpers, by program and server. Locked for look-ups only.
    helped: Mutex<HashMap<(String, String), Option<Credential>>>,
}

impl Credentials {
    /// No login.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// One login, for every registry that a client with these credentials speaks to.
    pub fn fixed(credential: Credential) -> Self {
        Self(Arc::new(Source::Fixed(credential)))
    }

    /// A user with a password.
    pub fn password(user: impl Into<String>, password: Secret) -> Self {
        Self::fixed(Credential::Password { user: user.into(), password })
    }

    /// The answer of a credential helper, by its name or path. Its answer is used for `lifetime`; `None` until a registry refuses
    /// it, zero for one request.
    pub fn helper(path: impl Into<String>, lifetime: Option<Duration>) -> Self {
        Self(Arc::new(Source::Helper(Program { path: path.into(), lifetime, said: Default::default() })))
    }

    /// A user with the password that is in a file, without the line's end; it may change.
    pub fn password_file(user: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Source::PasswordFile { user: user.into(), path: path.into() }))
    }

    /// The logins in files of docker (`config.json`) or podman (`auth.json`), the first file with one for the registry
    /// first. A file that does not exist has none. They are read when a registry wants a login, and only once.
    pub fn files(paths: Vec<PathBuf>) -> Self {
        Self(Arc::new(Source::Files(Files { paths, read: OnceCell::new(), helped: Mutex::default() })))
    }

    /// The logins of this user: [`files`](Self::files) in the places of docker and podman. `variable` is the environment.
    ///
    /// In order: `$REGISTRY_AUTH_FILE` alone if it is set; else `config.json` in `$DOCKER_CONFIG` or `~/.docker`, then
    /// `containers/auth.json` in `$XDG_RUNTIME_DIR` and in `$XDG_CONFIG_HOME` or `~/.config` (containers-auth.json(5)).
    pub fn of_user(variable: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        if let Some(path) = path("REGISTRY_AUTH_FILE") {
            return Self::files(vec![path]);
        }
        let home = path("HOME");
        let below_home = |folder: &str| home.as_ref().map(|home| home.join(folder));
        let docker = path("DOCKER_CONFIG").or_else(|| below_home(".docker"));
        let runtime = path("XDG_RUNTIME_DIR");
        let config = path("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let podman = runtime.into_iter().chain(config).map(|folder| folder.join("containers/auth.json"));
        Self::files(docker.map(|folder| folder.join("config.json")).into_iter().chain(podman).collect())
    }

    /// The credential for a registry, or for one of its repositories where a file has one.
    pub(crate) async fn find(
        &self,
        address: &RegistryAddress,
        repository: Option<&str>,
    ) -> Result<Credential, CredentialError> {
        let files = match &*self.0 {
            Source::Anonymous => return Ok(Credential::Anonymous),
            Source::Fixed(credential) => return Ok(credential.clone()),
            Source::Files(files) => files,
            Source::Helper(program) => return program.ask(address.name()).await,
            Source::PasswordFile { user, path } => {
                let unreadable = |problem| CredentialError::Unreadable { path: path.clone(), problem };
                let text = password_of(path).await.map_err(|error| unreadable(error.to_string()))?;
                let password = text.trim_end_matches(['\r', '\n']);
                // While it is replaced. A login without a password may lock the account.
                if password.is_empty() {
                    return Err(unreadable("it has no password".to_owned()));
                }
                return Ok(Credential::Password { user: user.clone(), password: Secret::new(password) });
            }
        };
        let read = files.read.get_or_try_init(|| AuthFile::read_all(files.paths.clone())).await?;
        for file in read {
            for entry in file.entries(address, repository) {
                let found = match entry {
                    Entry::Stored(credential) => Some(credential),
                    Entry::Helper { program, server } => files.ask(program, server).await?,
                };
                if let Some(credential) = found {
                    return Ok(credential);
                }
            }
        }
        Ok(Credential::Anonymous)
    }

    /// Forgets what helpers said, so that they are asked again.
    pub(crate) async fn forget(&self) {
        match &*self.0 {
            Source::Files(files) => files.helped.lock().clear(),
            Source::Helper(program) => *program.said.lock().await = None,
            Source::Anonymous | Source::Fixed(_) | Source::PasswordFile { .. } => {}
        }
    }
}

impl Program {
    async fn ask(&self, server: &str) -> Result<Credential, CredentialError> {
        let mut said = self.said.lock().await;
        if let Some((at, credential)) = &*said
            && self.lifetime.is_none_or(|lifetime| at.elapsed() < lifetime)
        {
            return Ok(credential.clone());
        }
        let credential = helper::run(&self.path, server).await?.unwrap_or_default();
        *said = Some((Instant::now(), credential.clone()));
        Ok(credential)
    }
}

impl Files {
    async fn ask(&self, program: String, server: String) -> Result<Option<Credential>, CredentialError> {
        let key = (program, server);
        let known = self.helped.lock().get(&key).cloned();
        if let Some(credential) = known {
            return Ok(credential);
        }
        let credential = helper::get(&key.0, &key.1).await?;
        self.helped.lock().insert(key, credential.clone());
        Ok(credential)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Anonymous => f.write_str("Anonymous"),
            Source::Fixed(credential) => credential.fmt(f),
            Source::Files(files) => f.debug_tuple("Files").field(&files.paths).finish(),
            Source::Helper(program) => f.debug_tuple("Helper").field(&program.path).finish(),
            Source::PasswordFile { path, .. } => f.debug_tuple("PasswordFile").field(path).finish(),
        }
    }
}

/// The largest file of a password, in bytes.
const MAX_PASSWORD_FILE_BYTES: u64 = 64 << 10;

/// The text of a password file. A pipe would block its reader.
async fn password_of(path: &Path) -> io::Result<String> {
    let metadata = tokio::fs::metadata(path).await?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if metadata.len() > MAX_PASSWORD_FILE_BYTES {
        return Err(io::Error::other("it is longer than 64 KiB, so it is no password"));
    }
    tokio::fs::read_to_string(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secret() {
        let credentials = Credentials::password("alice", Secret::new("hunter2"));
        let text = format!("{credentials:?} {:?}", Credential::IdentityToken(Secret::new("hunter2")));
        assert!(text.contains("alice") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn credentials_differ_in_their_fingerprint() {
        let password = |user: &str, password: &str| {
            Credential::Password { user: user.to_owned(), password: Secret::new(password) }.fingerprint()
        };
        let all = [
            Credential::Anonymous.fingerprint(),
            password("a", "bc"),
            password("ab", "c"),
            password("", "abc"),
            Credential::IdentityToken(Secret::new("abc")).fingerprint(),
            Credential::RegistryToken(Secret::new("abc")).fingerprint(),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn the_files_of_a_user_are_where_docker_and_podman_have_them() {
        let paths = |variables: &[(&str, &str)]| {
            let credentials = Credentials::of_user(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            });
            let Source::Files(files) = &*credentials.0 else { panic!() };
            files.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            paths(&[("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/1")]),
            [
                "/home/a/.docker/config.json",
                "/run/user/1/containers/auth.json",
                "/home/a/.config/containers/auth.json"
            ]
        );
        assert_eq!(
            paths(&[("HOME", "/home/a"), ("DOCKER_CONFIG", "/d"), ("XDG_CONFIG_HOME", "/c")]),
            ["/d/config.json", "/c/containers/auth.json"]
        );
        assert_eq!(paths(&[("HOME", "/home/a"), ("REGISTRY_AUTH_FILE", "/x.json")]), ["/x.json"]);
        assert!(paths(&[("HOME", "")]).is_empty());
    }
}
