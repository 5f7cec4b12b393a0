//! `Hub`: Debian's docker-registry as an upstream, whose log says what it was asked.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use regex::Regex;

use crate::cli::support::{binary, end};
use crate::clients::support::{
    Process, TokenServer, Wire, filesystem_config, oci_layout, run, tool, write_config,
};

/// An upstream that wants a login: `anne` with the password `secret`.
pub(super) struct Hub {
    pub(super) address: SocketAddr,
    process: Process,
    marks: Cell<u32>,
    pub(super) tokens: Option<TokenServer>,
}

/// How clients log in at an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Login {
    /// By a password; there are no anonymous pulls.
    Password,
    /// By tokens; `public/` and `library/` need none.
    Token,
}

impl Hub {
    /// Starts an upstream with its files in a folder.
    #[track_caller]
    pub(super) fn start(folder: &Path, login: Login) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let path = |name: &str| folder.join(name);
        let (auth, tokens) = match login {
            Login::Password => {
                let added = end(binary(folder).args(["htpasswd", "add", "htpasswd", "anne"]), "secret");
                assert_eq!(added.code, Some(0), "{added:?}");
                let path = path("htpasswd").display().to_string();
                (format!("auth: {{htpasswd: {{realm: Hub, path: {path}}}}}\n"), None)
            }
            Login::Token => {
                let tokens = TokenServer::start();
                (tokens.debian_auth_section(&path("tokens.pem")), Some(tokens))
            }
        };
        let config = filesystem_config(&path("data")) + &auth;
        // Distribution cannot report a port that the kernel chose, so it gets one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = config.replace("127.0.0.1:0", &address.to_string());
        let process = serve(&write_config(folder, "hub.yml", &config));
        Self { address, process, marks: Cell::default(), tokens }
    }

    /// The same content under another address over TLS, in a process of its own.
    #[track_caller]
    pub(super) fn front(&self, folder: &Path, address: SocketAddr, tls: &str) -> Process {
        let auth = self.tokens.as_ref().map(|tokens| tokens.debian_auth_section(&folder.join("tokens.pem")));
        let config = filesystem_config(&folder.join("data")) + &auth.unwrap_or_default();
        let config = config.replace("http: {", &format!("http: {{tls: {{{tls}}}, "));
        serve(&write_config(folder, "front.yml", &config.replace("127.0.0.1:0", &address.to_string())))
    }

    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Pushes an image of an OCI layout, with all platforms.
    #[track_caller]
    pub(super) fn push(&self, layout: &str, name: &str) {
        let mut command = tool("skopeo");
        command.args(["copy", "--quiet", "--all", "--dest-tls-verify=false", "--dest-creds=anne:secret"]);
        run(command.arg(format!("oci:{layout}")).arg(format!("docker://{}/{name}", self.host())));
    }

    /// Pushes a new image of some layers, and returns its layout.
    #[track_caller]
    pub(super) fn push_image(&self, folder: &Path, layers: usize, name: &str) -> std::path::PathBuf {
        let layout = oci_layout(folder, "v1", layers);
        self.push(&format!("{}:v1", layout.display()), name);
        layout
    }

    /// What it was asked since the last call, as `GET manifests 200`; without questions for a login.
    #[track_caller]
    pub(super) fn asked(&self) -> Vec<String> {
        let line = Regex::new(r#""(\S+) (\S+) HTTP/1.1" (\d+) "#).unwrap();
        let mark = |number| format!("/v2/?mark={number} ");
        let last = self.marks.get() + 1;
        self.marks.set(last);
        Wire::connect(self.address).send("GET", mark(last).trim_end(), &[], b"");
        self.process.wait_to_say(&mark(last));
        let log = self.process.log();
        let begin = log.find(&mark(last - 1)).unwrap_or(0);
        let asked = line.captures_iter(&log[begin..]).filter_map(|found| {
            let (method, path, status) = (&found[1], &found[2], &found[3]);
            let kind = path.split('/').rev().nth(1)?;
            (status != "401" && !path.starts_with("/v2/?") && path != "/v2/")
                .then(|| format!("{method} {kind} {status}"))
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort();
        asked
    }
}

/// Starts the registry. Its requests, which it writes to standard output, are in the log of the process, too.
#[track_caller]
fn serve(config: &Path) -> Process {
    let mut command = tool("sh");
    command.env_remove("AWS_CA_BUNDLE").args(["-c", "exec docker-registry serve \"$0\" >&2"]).arg(config);
    let process = Process::start(&mut command);
    process.wait_for(|line| line.contains("listening on").then_some(()));
    process
}
