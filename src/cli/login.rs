//! The options of commands that speak to a registry: login, certificates, plain HTTP, trusted hosts.

use std::path::PathBuf;

use sampan_client::{
    ClientOptions, Credentials, PlainHttp, RegistryAddress, RegistryClient, Secret, TlsOptions, Verification,
};
use sampan_config::RegistryHost;

use super::misunderstood;
use super::terminal::{first_line, password};

/// How a command logs in at a registry.
#[derive(Debug, clap::Args)]
pub(super) struct LoginOptions {
    /// The user; the password comes from --password-file, a prompt or standard input. Without a user, the logins
    /// of docker and podman are used
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,

    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(super) password_file: Option<PathBuf>,

    /// A PEM file with the authority of the registry's certificate, trusted besides this machine's authorities
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) cacert: Option<PathBuf>,

    /// Accept any certificate
    #[arg(long)]
    pub(super) insecure: bool,

    /// Use HTTP if the registry does not speak TLS, and its URL does not begin with https://
    #[arg(long)]
    pub(super) plain_http: bool,

    /// A host at an internal address that the registry may redirect to, on any port
    #[arg(long, value_name = "HOST", value_parser = host_of_any_port)]
    pub(super) redirect_host: Vec<String>,

    /// A further host whose token server gets the login, on any port
    #[arg(long, value_name = "HOST", value_parser = host_of_any_port)]
    pub(super) realm_host: Vec<String>,
}

/// A host without a port.
pub(super) fn host_of_any_port(text: &str) -> Result<String, String> {
    let host: RegistryHost = text.parse()?;
    match host.has_port() {
        true => Err(format!("a port has no meaning here: write `{}`, which is any port of it", host.host())),
        false => Ok(host.as_str().to_owned()),
    }
}

impl LoginOptions {
    /// Refuses the options where no registry is spoken to, since they would do nothing.
    pub(super) fn refuse_without(&self, option: &str) -> Result<(), clap::Error> {
        let given = [
            ("--user", self.user.is_some()),
            ("--cacert", self.cacert.is_some()),
            ("--insecure", self.insecure),
            ("--plain-http", self.plain_http),
            ("--redirect-host", !self.redirect_host.is_empty()),
            ("--realm-host", !self.realm_host.is_empty()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(misunderstood(format!("{name} needs {option}"))),
            None => Ok(()),
        }
    }

    /// Whether the password is read from a prompt or standard input.
    pub(super) fn reads_input(&self) -> bool {
        self.user.is_some() && self.password_file.is_none()
    }

    /// A client for the registry at `address`. Asks for the password of `--user`.
    pub(super) fn client(
        &self,
        address: RegistryAddress,
    ) -> Result<RegistryClient, Box<dyn std::error::Error>> {
        let credentials = match (&self.user, &self.password_file) {
            (None, _) => Credentials::of_user(|name| std::env::var(name).ok()),
            (Some(user), Some(path)) => Credentials::password(user, Secret::new(first_line(path)?)),
            (Some(user), None) => {
                let password = String::from_utf8(password(user, false)?);
                let password = password.map_err(|_| "the password is not valid UTF-8")?;
                Credentials::password(user, Secret::new(password))
            }
        };
        let tls = TlsOptions {
            authorities: self.cacert.clone(),
            verification: if self.insecure { Verification::None } else { Verification::Full },
            ..TlsOptions::default()
        };
        let plain_http = if self.plain_http { PlainHttp::Fallback } else { PlainHttp::WhenNamed };
        let options = ClientOptions {
            credentials,
            tls,
            plain_http,
            redirect_hosts: self.redirect_host.clone(),
            trusted_realms: self.realm_host.clone(),
            ..ClientOptions::default()
        };
        Ok(RegistryClient::new(address, options)?)
    }
}
