//! A registry that asks for tokens, takes everything, and gives back something else.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A registry in threads of the test, which end with their connections.
pub(crate) struct FakeRegistry {
    address: SocketAddr,
    token_requests: Arc<Mutex<Vec<String>>>,
}

/// Base64 of `alice:secret`.
const PASSWORD: &str = "Basic YWxpY2U6c2VjcmV0";

impl FakeRegistry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let token_requests = Arc::new(Mutex::new(Vec::new()));
        let seen = token_requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = seen.clone();
                thread::spawn(move || serve(stream.unwrap(), address, &seen));
            }
        });
        Self { address, token_requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The queries that tokens were asked for with.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        self.token_requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, address: SocketAddr, seen: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    while let Some((method, path, headers)) = head(&mut stream) {
        let len = headers.get("content-length").map_or(0, |len| len.parse().unwrap());
        std::io::copy(&mut stream.by_ref().take(len), &mut std::io::sink()).unwrap();
        let authorization = headers.get("authorization").map_or("", String::as_str);
        let challenge =
            format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"fake\"\r\n");
        let (status, header, body) = match (method.as_str(), path.split_once('?')) {
            ("GET", Some(("/token", query))) if authorization == PASSWORD => {
                seen.lock().unwrap().push(query.to_owned());
                (200, String::new(), r#"{"access_token":"granted"}"#)
            }
            _ if authorization != "Bearer granted" => (401, challenge, ""),
            ("POST", _) => (202, format!("Location: http://{address}{path}1?state=x\r\n"), ""),
            ("PUT", _) => (201, String::new(), ""),
            ("DELETE", _) => (202, String::new(), ""),
            _ => (200, String::new(), "something else"),
        };
        let answer = format!("HTTP/1.1 {status} X\r\n{header}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
    }
}

fn head(stream: &mut BufReader<TcpStream>) -> Option<(String, String, HashMap<String, String>)> {
    let mut line = String::new();
    if stream.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { return Some((method, path, headers)) };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}
