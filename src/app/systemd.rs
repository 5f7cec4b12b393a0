//! Notifies systemd, and takes over a socket that it has opened.
//!
//! Without systemd (no `NOTIFY_SOCKET`, no `LISTEN_FDS`, no `WATCHDOG_USEC`) this module does nothing.

use std::convert::Infallible;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::AppError;
use crate::serve::Listener;

/// The socket that systemd opened, if it is exactly one; replaces `http.addr`, as in Distribution.
pub(super) fn socket() -> Result<Option<Listener>, AppError> {
    let mut sockets = ListenFd::from_env();
    match sockets.len() {
        0 => return Ok(None),
        1 => {}
        several => {
            tracing::warn!(
                "systemd has opened {several} sockets, and none of them is served: \
                 one `ListenStream=` in the socket unit takes the place of http.addr, several do not"
            );
            return Ok(None);
        }
    }
    if let Ok(Some(socket)) = sockets.take_tcp_listener(0) {
        return Listener::from_std(socket).map(Some).map_err(AppError::InheritedSocket);
    }
    let socket = sockets.take_unix_listener(0).map_err(AppError::InheritedSocket)?;
    let listener = socket.map(Listener::from_std_unix).transpose();
    listener.map_err(AppError::InheritedSocket)
}

/// Reports that the registry serves requests.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the registry reloads its configuration; [`ready`] ends this.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Reports the shutdown, and extends its timeout by the drain timeout.
pub(super) fn stopping(drain_timeout: Duration) {
    // A little longer, since dropping cut transfers takes time.
    let time = (drain_timeout + Duration::from_secs(10)).as_micros();
    let time = u32::try_from(time).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(time)]);
}

/// The shortest interval, for a `WatchdogSec=` of almost nothing.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Notifies the watchdog at the interval that it requires, for ever.
///
/// This is an ordinary task: if all tasks hang, so does this one, and systemd restarts the process.
pub(super) async fn feed_the_watchdog() -> Infallible {
    // Zero is no watchdog, for systemd too.
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval((patience / 2).max(SHORTEST_INTERVAL));
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify systemd of {state:?}");
    }
}
