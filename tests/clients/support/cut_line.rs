//! `CutLine`: a relay that cuts its first connections after a number of bytes, as a bad line does.

use std::io::{Read, Write};
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
    /// Relays to `server`. Three times, after `bytes` in one direction, both ends of the connection are closed.
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
                thread::spawn(move || relay(from_client, server, bytes, &there));
                thread::spawn(move || relay(from_server, client, bytes, &back));
            }
        });
        Self { address, cuts }
    }

    /// The number of connections that were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, mut left: usize, cuts: &AtomicUsize) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let sent = count.min(left);
        left -= sent;
        let cut = left == 0 && cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next_cut).is_ok();
        if to.write_all(&buffer[..if cut { sent } else { count }]).is_err() || cut {
            break;
        }
    }
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn next_cut(cuts: usize) -> Option<usize> {
    (cuts < CUTS).then_some(cuts + 1)
}
