//! `Guarded`: a registry over TLS with a password, and the environment of the clients written in Go that use it.

use std::path::PathBuf;
use std::process::Command;

use super::{CutLine, Fixture, RegistryProcess, fail, run, tool};
use crate::cli::support::end;

const USER: &str = "alice";
const PASSWORD: &str = "wonderland";

/// A registry that wants a password, with a certificate of an authority of its own.
pub(crate) struct Guarded {
    site: Fixture,
    registry: RegistryProcess,
}

impl Guarded {
    /// Starts the registry over an empty directory.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let site = Fixture::new("127.0.0.1");
        site.set_password(USER, PASSWORD);
        Self::of(site, "", "")
    }

    /// The same without HTTP/2, which drops a request that breaks off before the registry has begun to handle it.
    #[track_caller]
    pub(crate) fn start_without_http2() -> Self {
        let site = Fixture::new("127.0.0.1");
        site.set_password(USER, PASSWORD);
        Self::of(site, ", http2: {disabled: true}", "")
    }

    /// Starts the registry with these users, whose passwords are `NAME-password`, and more sections.
    #[track_caller]
    pub(crate) fn start_with(users: &[&str], sections: &str) -> Self {
        let site = Fixture::new("127.0.0.1");
        for user in users {
            site.set_password(user, &format!("{user}-password"));
        }
        Self::of(site, "", sections)
    }

    fn of(site: Fixture, http: &str, sections: &str) -> Self {
        std::fs::create_dir(site.path("home")).unwrap();
        let http = format!("addr: '127.0.0.1:0', tls: {{{}}}{http}", site.tls());
        let registry = site.serve(&http, &format!("{}\n{sections}", site.auth()));
        Self { site, registry }
    }

    /// Runs a command of the registry with its configuration, and returns its standard output without surrounding space.
    #[track_caller]
    pub(crate) fn registry_command(&self, arguments: &str) -> String {
        let mut command = tool(env!("CARGO_BIN_EXE_registry"));
        command.args(arguments.split_whitespace()).arg("--config").arg(self.path("sampan.yml"));
        run(&mut command).trim().to_owned()
    }

    /// `host:port/repository:tag`.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host())
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> String {
        self.registry.host()
    }

    /// A path that belongs to this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }

    /// What the registry has logged, a line for each request.
    pub(crate) fn log(&self) -> String {
        self.registry.process.log()
    }

    /// A relay to the registry that cuts its first connections after `bytes` in one direction.
    pub(crate) fn behind_a_cut_line(&self, bytes: usize) -> CutLine {
        CutLine::to(self.registry.address, bytes)
    }

    /// A client in a home directory of its own that trusts the authority. The working directory is the test's.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = tool(program);
        command.current_dir(self.path("")).env("HOME", self.path("home"));
        // Go reads the authorities of the system from here.
        command.env("SSL_CERT_FILE", self.path("certs/ca.crt"));
        for name in
            ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "REGCTL_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Runs a client's command, its arguments separated by blanks, and returns its output without surrounding space.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &str) -> String {
        run(self.client(program).args(arguments.split_whitespace())).trim().to_owned()
    }

    /// Runs a client's command that must fail, and returns its whole output.
    #[track_caller]
    pub(crate) fn fail(&self, program: &str, arguments: &str) -> String {
        fail(self.client(program).args(arguments.split_whitespace()))
    }

    /// Runs a client's command that reads the password from standard input; `USER` and `HOST` are replaced.
    #[track_caller]
    pub(crate) fn log_in(&self, program: &str, arguments: &str) {
        self.log_in_with(program, &arguments.replace("USER", USER), PASSWORD);
    }

    /// The same as a user of [`start_with`](Self::start_with).
    #[track_caller]
    pub(crate) fn log_in_as(&self, program: &str, arguments: &str, user: &str) {
        self.log_in_with(program, &arguments.replace("USER", user), &format!("{user}-password"));
    }

    /// The same with a password.
    #[track_caller]
    pub(crate) fn log_in_with(&self, program: &str, arguments: &str, password: &str) {
        let arguments = arguments.replace("HOST", &self.host());
        let ended = end(self.client(program).args(arguments.split_whitespace()), password);
        assert_eq!(ended.code, Some(0), "{program} {arguments}: {ended:?}");
    }
}
