//! `CutLine`: a relay that cuts its first connections after a number of bytes, as a bad line does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The number of cuts: some clients wait longer after each.
const CUTS: usize = 3;

/// A relay to a server. It ends with the test's process.
pub(crate) struct CutLine {
    /// The relay's address.
    pub(crate) address: SocketAddr,
    cuts: Arc<AtomicUsize>,
}

impl CutLine {
    /// Relays to `server`. Three times, after `bytes` in one direction, both ends of the connection are closed. What the client
    /// sent before that reaches the server: with a reset, the kernel would discard what the server has not read yet.
    pub(crate) fn to(server: SocketAddr, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cuts);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { return };
                let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (Arc::clone(&counted), Arc::clone(&counted));
                thread::spawn(move || {
                    relay(&from_client, &server, bytes, &there);
                    let _ = server.shutdown(Shutdown::Write);
                    let _ = from_client.shutdown(Shutdown::Both);
                });
                thread::spawn(move || {
                    let is_cut = relay(&from_server, &client, bytes, &back);
                    if !is_cut {
                        // A socket that is closed with something unread in it resets its connection.
                        let _ = io::copy(&mut &from_server, &mut io::sink());
                    }
                    for stream in [&from_server, &client] {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { address, cuts }
    }

    /// The number of connections that were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Relays until an end is closed or the line is to be cut; returns whether it is.
fn relay(mut from: &TcpStream, mut to: &TcpStream, mut left: usize, cuts: &AtomicUsize) -> bool {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let sent = count.min(left);
        left -= sent;
        let cut = left == 0 && cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next_cut).is_ok();
        if to.write_all(&buffer[..if cut { sent } else { count }]).is_err() || cut {
            return cut;
        }
    }
    false
}

fn next_cut(cuts: usize) -> Option<usize> {
    (cuts < CUTS).then_some(cuts + 1)
}
