//! A TCP connection without TLS.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::file_sender::{FileSender, Part, WriteStep};

/// The size of a copy where the kernel cannot send a file, in bytes.
const COPIED_BYTES: usize = 64 * 1024;

/// The socket of a plain TCP connection.
///
/// Its own type, because responses reach it through `poll_write_vectored` with separate buffers: there it can
/// send a file in place of a placeholder.
#[derive(Debug)]
pub struct PlainStream {
    socket: TcpStream,
    files: FileSender,
}

impl PlainStream {
    /// Wraps an accepted socket.
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, files: FileSender::default() }
    }

    /// The sender of files over this connection.
    pub fn files(&self) -> &FileSender {
        &self.files
    }

    /// Waits for the first byte without consuming it; `None` if the client closed.
    pub(super) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.socket.peek(&mut byte).await? > 0).then_some(byte[0]))
    }

    fn poll_send(&self, cx: &mut Context<'_>, part: &Part) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match self.socket.try_io(Interest::WRITABLE, || send(&self.socket, part)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(sent) => {
                    self.files.sent(sent);
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }
}

/// Sends as much of `part` as the socket accepts; `part` is not empty.
fn send(socket: &TcpStream, part: &Part) -> io::Result<usize> {
    let mut offset = part.range.start;
    let len = usize::try_from(part.range.end - offset).unwrap_or(usize::MAX);
    let sent = loop {
        match rustix::fs::sendfile(socket.as_fd(), part.file.as_fd(), Some(&mut offset), len) {
            Err(Errno::INTR) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break copy(socket, part)?,
            result => break result?,
        }
    };
    // Blobs do not change, but a user can truncate any file.
    if sent == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(sent) }
}

/// Copies instead, on a file system or in a sandbox without `sendfile`.
fn copy(socket: &TcpStream, part: &Part) -> io::Result<usize> {
    let len = usize::try_from(part.range.end - part.range.start).unwrap_or(usize::MAX);
    let mut buffer = vec![0; len.min(COPIED_BYTES)];
    let read = part.file.read_at(&mut buffer, part.range.start)?;
    Ok(rustix::net::send(socket.as_fd(), &buffer[..read], rustix::net::SendFlags::NOSIGNAL)?)
}

impl AsyncRead for PlainStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.files.next(bufs)? {
            WriteStep::Buffers(count) => Pin::new(&mut this.socket).poll_write_vectored(cx, &bufs[..count]),
            WriteStep::Part(part) => this.poll_send(cx, &part),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
