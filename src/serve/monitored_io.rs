//! A socket that reports its reads and writes to the connection's [`Activity`], and closes gracefully.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::Activity;

/// How long a client may take to notice that we have closed our direction.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bytes to read and discard at a time while lingering.
const DISCARD_BYTES: usize = 4096;

/// How many bytes to discard in total. Beyond it reading stops, so the client can send only what the kernel
/// buffers; it still has its time to read the response.
const MAX_DISCARDED_BYTES: usize = 1024 * 1024;

/// A monitored socket. It is below TLS, so that it observes the bytes on the wire.
#[derive(Debug)]
pub(super) struct MonitoredIo<IO> {
    inner: IO,
    activity: Activity,
    has_ended: bool,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    No,
    /// We closed our direction and wait until the client closes its own.
    Lingering {
        until: Pin<Box<Sleep>>,
        discarded: usize,
    },
    Done,
}

impl<IO> MonitoredIo<IO> {
    pub(super) fn new(inner: IO, activity: Activity) -> Self {
        Self { inner, activity, has_ended: false, closing: Closing::No }
    }
}

impl<IO> MonitoredIo<IO> {
    fn saw_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.activity.wrote_some(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.write_blocked(),
        }
    }
}

impl<IO: AsyncRead + Unpin> MonitoredIo<IO> {
    /// Reads and discards until the client closes or fails; adds the bytes to `discarded`.
    fn poll_discard(&mut self, discarded: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; DISCARD_BYTES];
        while !self.has_ended {
            if *discarded >= MAX_DISCARDED_BYTES {
                return Poll::Pending;
            }
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => *discarded += buf.filled().len(),
                Poll::Ready(_) => self.has_ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for MonitoredIo<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let has_room = buf.remaining() > 0;
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if let Poll::Ready(result) = &read {
            if let Some(first) = buf.filled().get(before) {
                this.activity.read_some(*first);
            } else if has_room || result.is_err() {
                this.has_ended = true;
            }
        }
        read
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MonitoredIo<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.saw_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.saw_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    /// Closes our direction, then waits a short while for the client to close its own.
    ///
    /// Closing a socket with unread bytes makes the kernel send a reset, which may overtake a response: a
    /// client refused in the middle of its upload would see a broken connection instead of the reason.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.closing, Closing::Done) {
                Closing::No => {
                    let shutdown = Pin::new(&mut this.inner).poll_shutdown(cx);
                    if !matches!(shutdown, Poll::Ready(Ok(()))) {
                        this.closing = Closing::No;
                        return shutdown;
                    }
                    this.closing =
                        Closing::Lingering { until: Box::pin(sleep(LINGER_TIMEOUT)), discarded: 0 };
                }
                Closing::Lingering { mut until, mut discarded } => {
                    if until.as_mut().poll(cx).is_pending()
                        && this.poll_discard(&mut discarded, cx).is_pending()
                    {
                        this.closing = Closing::Lingering { until, discarded };
                        return Poll::Pending;
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
