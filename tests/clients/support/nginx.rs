//! nginx in front of registries.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use super::{Process, RegistryProcess, tool};

/// A running nginx that hands each request to the next registry in turn, regardless of earlier requests.
pub(crate) struct Nginx {
    /// The address of nginx.
    pub(crate) address: SocketAddr,
    log: PathBuf,
    _process: Process,
}

impl Nginx {
    /// Starts nginx in front of `replicas`, configured as in docs/object-stores.md.
    #[track_caller]
    pub(crate) fn before(replicas: &[&RegistryProcess], directory: &Path) -> Self {
        // nginx cannot report a port that the kernel chose, so it gets one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let servers: String =
            replicas.iter().map(|replica| format!("server {} max_fails=0;", replica.address)).collect();
        let config = format!(
            "daemon off; pid {tmp}/nginx.pid; error_log stderr; worker_processes 1; events {{}}
             http {{
               log_format replicas '$upstream_addr $request_method $status';
               access_log {tmp}/nginx.log replicas; client_max_body_size 0;
               client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/fastcgi;
               uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
               upstream registries {{ {servers} }}
               server {{
                 listen {address};
                 location / {{
                   proxy_pass http://registries; proxy_http_version 1.1;
                   proxy_request_buffering off; proxy_buffering off;
                   proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
                 }}
               }}
             }}",
            tmp = directory.display(),
        );
        let path = directory.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let process = Process::start(tool("nginx").arg("-c").arg(path).arg("-p").arg(directory));
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self { address, log: directory.join("nginx.log"), _process: process }
    }

    /// How many requests of `method` nginx has handed to `replica` so far.
    pub(crate) fn requests(&self, replica: &RegistryProcess, method: &str) -> usize {
        let log = fs::read_to_string(&self.log).unwrap();
        let beginning = format!("{} {method} ", replica.address);
        log.lines().filter(|line| line.starts_with(&beginning)).count()
    }

    /// How many answers of `status` nginx has passed on so far.
    pub(crate) fn answers(&self, status: u16) -> usize {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines().filter(|line| line.ends_with(&format!(" {status}"))).count()
    }
}
