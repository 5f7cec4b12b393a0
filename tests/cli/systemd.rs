//! The messages between systemd and the registry.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::support::binary;
use crate::clients::support::{Process, Wire, filesystem_config, tool};

/// A place for notices, and a command that sends them there.
struct NotifySocket(UnixDatagram);

impl NotifySocket {
    fn of(command: &mut Command, directory: &Path) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        command.env("NOTIFY_SOCKET", path);
        Self(socket)
    }

    /// Waits for a notice that has this line.
    #[track_caller]
    fn wait_for(&self, line: &str) -> String {
        let mut buffer = [0; 1024];
        loop {
            let len = match self.0.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                received => received.unwrap(),
            };
            let notice = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if notice.lines().any(|found| found == line) {
                return notice;
            }
        }
    }
}

fn configured(directory: &Path, http: &str) {
    let config = filesystem_config(&directory.join("data")).replace("http: {", &format!("http: {{{http}"));
    std::fs::write(directory.join("config.yml"), config).unwrap();
}

#[test]
fn it_is_told_when_requests_are_served_of_reloads_and_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    configured(directory.path(), "draintimeout: 20s, ");
    let mut command = binary(directory.path());
    let notices = NotifySocket::of(&mut command, directory.path());
    let mut process = Process::start(command.args(["serve", "config.yml"]));
    notices.wait_for("READY=1");
    let address =
        process.wait_for(|line| line.split_once("listening on ")?.1.split('"').next()?.parse().ok());
    assert_eq!(Wire::connect(address).send("GET", "/v2/", &[], b"").status, 200);

    process.signal("HUP");
    assert!(notices.wait_for("RELOADING=1").contains("MONOTONIC_USEC="), "as Type=notify-reload wants it");
    notices.wait_for("READY=1");

    process.signal("TERM");
    let notice = notices.wait_for("STOPPING=1");
    assert!(notice.contains("EXTEND_TIMEOUT_USEC=30000000"), "{notice}");
    assert!(process.wait().success());
}

#[test]
fn the_watchdog_is_fed() {
    let directory = tempfile::tempdir().unwrap();
    configured(directory.path(), "");
    let mut command = binary(directory.path());
    let notices = NotifySocket::of(&mut command, directory.path());
    let mut process = Process::start(command.env("WATCHDOG_USEC", "200000").args(["serve", "config.yml"]));
    // Before that, a signal ends the process as any other.
    notices.wait_for("READY=1");
    for _ in 0..3 {
        notices.wait_for("WATCHDOG=1");
    }
    assert!(process.terminate().success());
}

#[test]
fn a_watchdog_without_an_interval_is_none() {
    let directory = tempfile::tempdir().unwrap();
    configured(directory.path(), "");
    let mut command = binary(directory.path());
    let notices = NotifySocket::of(&mut command, directory.path());
    let mut process = Process::start(command.env("WATCHDOG_USEC", "0").args(["serve", "config.yml"]));
    notices.wait_for("READY=1");
    assert!(process.terminate().success(), "{}", process.log());
}

#[test]
fn one_socket_takes_the_place_of_the_address() {
    let directory = tempfile::tempdir().unwrap();
    // An address that could not be listened at.
    configured(directory.path(), "");
    let config = directory.path().join("config.yml");
    let text = std::fs::read_to_string(&config).unwrap().replace("127.0.0.1:0", "192.0.2.1:5000");
    std::fs::write(&config, text).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // A shell hands the socket down as number 3, and its own process id with it, as systemd does.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve config.yml";
    let mut command = tool("sh");
    command.current_dir(directory.path()).args(["-c", script, env!("CARGO_BIN_EXE_registry")]);
    let mut process = Process::start_with(&mut command, OwnedFd::from(socket));
    process.wait_for(|line| line.contains(&format!("listening on {address}")).then_some(()));
    assert_eq!(Wire::connect(address).send("GET", "/v2/", &[], b"").status, 200);
    assert!(process.terminate().success());
}
