//! `registry bench` against other servers.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::support::{Process, RegistryProcess, filesystem_config, registry, run, tool};

/// Runs a short comparison and returns the rows of the report.
#[track_caller]
fn compare(ours: &RegistryProcess, theirs: (SocketAddr, &Process), args: &[&str]) -> Vec<Value> {
    let url = |address: SocketAddr| format!("http://{address}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
    command.args(["bench", &url(ours.address), "--vs", &url(theirs.0), "--format", "json"]);
    command.args(["--pid", &ours.process.pid().to_string(), "--vs-pid", &theirs.1.pid().to_string()]);
    command.args(["--rounds", "1", "--duration", "50ms", "--large", "1MiB", "--clients", "2"]);
    let report: Value = serde_json::from_str(&run(command.args(args))).unwrap();
    report["rows"].as_array().unwrap().clone()
}

#[track_caller]
fn assert_measured(row: &Value) {
    for figure in ["operations_per_second", "cpu_us_per_request", "peak_mib"] {
        let ratio = row["b"]["a_by_b"][figure]["median"].as_f64();
        assert!(ratio.is_some_and(|ratio| ratio > 0.0), "{figure} of {row:#}");
    }
}

#[test]
#[ignore = "needs nginx"]
fn a_server_of_plain_files_is_given_the_same_blobs() {
    let directory = tempfile::tempdir().unwrap();
    let ours = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let files = directory.path().join("files");
    fs::create_dir(&files).unwrap();
    let (address, nginx) = static_nginx(directory.path(), &files);
    let rows = compare(&ours, (address, &nginx), &["--vs-files", files.to_str().unwrap()]);
    assert_eq!(rows.len(), 2);
    rows.iter().for_each(assert_measured);
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0, "the files are removed again");
}

/// Serves a directory. A child of the process does the work.
#[track_caller]
fn static_nginx(directory: &Path, files: &Path) -> (SocketAddr, Process) {
    // nginx cannot report a port that the kernel chose, so it gets one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let user = if run(tool("id").arg("-u")).trim() == "0" { "user root;" } else { "" };
    let config = format!(
        "{user} daemon off; pid {tmp}/nginx.pid; error_log stderr; worker_processes 1; events {{}}
         http {{
           access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
           client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/fastcgi;
           uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
           server {{ listen {address}; root {files}; }}
         }}",
        tmp = directory.display(),
        files = files.display(),
    );
    let path = directory.join("nginx.conf");
    fs::write(&path, config).unwrap();
    let process = Process::start(tool("nginx").arg("-c").arg(path).arg("-p").arg(directory));
    while TcpStream::connect(address).is_err() {
        std::thread::yield_now();
    }
    (address, process)
}
