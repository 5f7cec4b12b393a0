//! An HTTP/2 client that sends exactly the frames of a test.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Running, in_no_time};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection without TLS that starts with HTTP/2.
pub(super) struct RawHttp2 {
    io: TcpStream,
    received: Vec<u8>,
    /// The streams that the server has reset, as of the last [`settle`](Self::settle).
    pub(super) reset: Vec<u32>,
    /// The number of bytes received per stream, as of the last [`settle`](Self::settle).
    pub(super) data: HashMap<u32, usize>,
}

/// A received frame.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl RawHttp2 {
    /// Connects, with a window of so many bytes per stream.
    pub(super) async fn connect(server: &Running, window: u32) -> Self {
        let mut client = Self {
            io: server.connect().await,
            received: Vec::new(),
            reset: Vec::new(),
            data: HashMap::new(),
        };
        client.io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &initial_window).await;
        client
    }

    /// Sends a frame. The next read notices a closed connection.
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        let _ = self.io.write_all(&[&head, payload].concat()).await;
    }

    /// Requests `path` of `authority`.
    pub(super) async fn get(&mut self, stream: u32, authority: &str, path: &str) {
        // `:method: GET` and `:scheme: http` are in the static table; the rest is literal.
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(0x01, authority), (0x04, path)] {
            block.extend([name, u8::try_from(value.len()).unwrap()]);
            block.extend(value.as_bytes());
        }
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block).await;
    }

    async fn ping(&mut self) {
        self.send(PING, 0, 0, &[7; 8]).await;
    }

    /// Opens the windows of a stream and of the connection by so many bytes.
    pub(super) async fn open_window(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
        self.send(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes()).await;
    }

    /// The next frame; `None` if the server has closed. Cancel-safe.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                if frame.kind == SETTINGS && frame.flags & ACK == 0 {
                    self.send(SETTINGS, ACK, 0, &[]).await;
                }
                return Some(frame);
            }
            let read = self.io.read_buf(&mut self.received).await;
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head = self.received.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let payload = self.received.get(9..9 + length)?.to_vec();
        self.received.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }

    /// Waits until the server has processed all frames, while a paused clock does not advance. Returns whether the
    /// connection is open.
    pub(super) async fn settle(&mut self) -> bool {
        in_no_time(async {
            self.ping().await;
            while let Some(frame) = self.next().await {
                match frame.kind {
                    PING if frame.flags & ACK != 0 => return true,
                    RST_STREAM => self.reset.push(frame.stream),
                    DATA => *self.data.entry(frame.stream).or_default() += frame.payload.len(),
                    _ => {}
                }
            }
            false
        })
        .await
    }

    /// Resets a stream.
    pub(super) async fn cancel(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await;
    }

    /// The status of the answer on `stream`, if it is in the static table.
    pub(super) async fn status(&mut self, stream: u32) -> u16 {
        loop {
            let frame = self.next().await.expect("the connection was closed");
            if (frame.kind, frame.stream) == (HEADERS, stream) {
                return match frame.payload[0] {
                    0x88 => 200,
                    0x8c => 400,
                    other => panic!("{other:#x} is no status that is expected"),
                };
            }
        }
    }
}
