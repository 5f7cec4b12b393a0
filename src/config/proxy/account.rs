//! `UpstreamAccount`: the account at an upstream, from the one of several keys that gives it.

use std::path::PathBuf;
use std::time::Duration;

use super::{ProxyExecConfig, UpstreamConfig};
use crate::Secret;

/// The account at an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UpstreamAccount {
    /// None.
    Anonymous,
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// A user with a password in a file.
    PasswordFile {
        /// The user.
        user: String,
        /// The file.
        path: PathBuf,
    },
    /// A credential helper of docker.
    Exec {
        /// The program.
        command: String,
        /// How long its answer is used. `None` until the upstream refuses it; zero for one request.
        lifetime: Option<Duration>,
    },
    /// A `config.json` of docker or an `auth.json` of podman.
    DockerConfig(PathBuf),
}

impl UpstreamAccount {
    /// The key that gives the account, and words for it.
    pub(super) fn shown(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Anonymous => None,
            Self::Password { user, .. } => Some(("password", format!("`{user}`"))),
            Self::PasswordFile { user, .. } => Some(("passwordfile", format!("`{user}`"))),
            Self::Exec { command, .. } => Some(("exec", format!("the account of `{command}`"))),
            Self::DockerConfig(path) => Some(("dockerconfig", format!("the account in {}", path.display()))),
        }
    }
}

impl UpstreamConfig {
    /// The one account, or the key that is wrong and a message.
    pub(super) fn account(&self) -> Result<UpstreamAccount, (&'static str, String)> {
        let keys = [
            ("password", self.password.is_some()),
            ("passwordfile", self.passwordfile.is_some()),
            ("exec", self.exec.is_some()),
            ("dockerconfig", self.dockerconfig.is_some()),
        ];
        let mut given = keys.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            return Err((
                second,
                format!("is a second way to the account, beside `{first}`: keep one of them"),
            ));
        }
        let user = || {
            let message = "needs `username` beside it".to_owned();
            self.username.clone().ok_or(message)
        };
        let needless = |key: &str| match self.username {
            Some(_) => {
                Err(("username", format!("has no use beside `{key}`, which gives the user, too: remove it")))
            }
            None => Ok(()),
        };
        if let Some(password) = &self.password {
            let user = user().map_err(|message| ("password", message))?;
            return Ok(UpstreamAccount::Password { user, password: password.clone() });
        }
        if let Some(path) = &self.passwordfile {
            let user = user().map_err(|message| ("passwordfile", message))?;
            return Ok(UpstreamAccount::PasswordFile { user, path: path.clone() });
        }
        if let Some(ProxyExecConfig { command, lifetime }) = &self.exec {
            needless("exec")?;
            let command = command.clone().ok_or_else(|| {
                (
                    "exec.command",
                    "is missing; name a program such as `docker-credential-ecr-login`".to_owned(),
                )
            })?;
            return Ok(UpstreamAccount::Exec { command, lifetime: *lifetime });
        }
        if let Some(path) = &self.dockerconfig {
            needless("dockerconfig")?;
            return Ok(UpstreamAccount::DockerConfig(path.clone()));
        }
        match self.username {
            Some(_) => Err(("username", "has no password: give `password` beside it".to_owned())),
            None => Ok(UpstreamAccount::Anonymous),
        }
    }
}
