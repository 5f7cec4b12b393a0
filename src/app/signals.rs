//! `Signals`: the signals that a registry handles, and `HarmlessSignals`, those that it handles from its start on.

use tokio::signal::unix::{SignalKind, signal};

use super::reload::Reload;
use super::systemd;

/// The signals that do not end a registry, not even while it starts.
#[derive(Debug)]
pub(super) struct HarmlessSignals {
    /// One that comes during the start waits for its end.
    hangup: tokio::signal::unix::Signal,
    /// Of a limit on the size of files. Without a handler it would end the process; a write then fails with EFBIG.
    _file_too_large: tokio::signal::unix::Signal,
}

/// The signals that a registry handles while it serves.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    harmless: HarmlessSignals,
}

impl HarmlessSignals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            _file_too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }
}

impl Signals {
    /// Before, those that end a registry end the process at once.
    pub(super) fn new(harmless: HarmlessSignals) -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            harmless,
        })
    }

    /// Reloads at each SIGHUP, until a signal ends the registry, also during a reload: a file that it reads may hang.
    pub(super) async fn until_the_end(&mut self, reload: &mut Reload) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.harmless.hangup.recv() => {
                    systemd::reloading();
                    tokio::select! {
                        _ = self.terminate.recv() => return "SIGTERM",
                        _ = self.interrupt.recv() => return "SIGINT",
                        () = reload.run() => systemd::ready(),
                    }
                }
            }
        }
    }

    /// Waits for a signal that ends the registry, after an earlier one.
    pub(super) async fn again(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
