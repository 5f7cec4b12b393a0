//! `HeldLine`: a relay that stops once in the middle of what a client sends, for a test to do something meanwhile.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the test does while the line is held.
type Hook = Box<dyn FnOnce() + Send>;

/// A relay to a server. It ends with the test's process.
pub(crate) struct HeldLine {
    /// The relay's address.
    pub(crate) address: SocketAddr,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl HeldLine {
    /// Relays to `server`. When a client has sent `bytes` on a connection, nothing on it continues until `hook` has ended, once.
    pub(crate) fn to(server: SocketAddr, bytes: usize, hook: impl FnOnce() + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let hook: Arc<Mutex<Option<Hook>>> = Arc::new(Mutex::new(Some(Box::new(hook))));
        let shared = Arc::clone(&hook);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { return };
                let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let hook = Arc::clone(&shared);
                thread::spawn(move || relay(from_client, server, bytes, &hook));
                thread::spawn(move || relay(from_server, client, usize::MAX, &Mutex::new(None)));
            }
        });
        Self { address, hook }
    }

    /// Whether the line was held.
    pub(crate) fn was_held(&self) -> bool {
        self.hook.lock().unwrap().is_none()
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, bytes: usize, hook: &Mutex<Option<Hook>>) {
    let (mut buffer, mut sent) = ([0; 16 << 10], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        sent += count;
        if sent >= bytes
            && let Some(hook) = hook.lock().unwrap().take()
        {
            hook();
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
