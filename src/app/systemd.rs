//! What systemd is told, and the socket that it may have opened for us.
//!
//! Without systemd (no `NOTIFY_SOCKET`, no `LISTEN_FDS`, no `WATCHDOG_USEC`) nothing here does anything.

use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::AppError;
use crate::serve::Listener;

/// The socket that systemd opened, if it is exactly one: it takes the place of `http.addr`, as in Distribution.
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

/// Requests are served from now on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] ends this.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The end has begun, and may take as long as running transfers may.
pub(super) fn stopping(drain_timeout: Duration) {
    // A little more than that: what is cut has to be dropped.
    let time = (drain_timeout + Duration::from_secs(10)).as_micros();
    let time = u32::try_from(time).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(time)]);
}

/// Tells the watchdog that the process is alive, as often as it wants to hear, for ever.
///
/// This is a task among the others: when they all hang, so does this, and systemd starts the process anew.
pub(super) async fn feed_the_watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(patience / 2);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told of {state:?}");
    }
}
