//! Reads a blocking input from async code: a thread reads ahead by a few pieces.

use std::io::{self, Read};

use bytes::Bytes;
use futures::stream;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

/// The length of a piece, in bytes.
const PIECE: usize = 256 << 10;

/// How many pieces are read ahead.
const AHEAD: usize = 4;

/// The bytes of `input`, which a thread of the runtime's pool reads until its end, or until nothing needs them.
pub(crate) fn bridge(mut input: impl Read + Send + 'static) -> impl AsyncRead + Send + 'static {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match input.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let (piece, is_last) = match read {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    (Ok(piece.into()), false)
                }
                Err(error) => (Err(error), true),
            };
            if sender.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    });
    StreamReader::new(stream::poll_fn(move |context| receiver.poll_recv(context)))
}
