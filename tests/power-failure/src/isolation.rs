//! Separate namespaces for the whole program, so that nothing outlives it.
//!
//! The program restarts itself in new mount and PID namespaces. When the outer process ends, by whatever signal, the kernel
//! kills every process of the inner one. With the last of them, its mounts, FUSE file systems and loop devices disappear.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const INNER: &str = "POWER_FAILURE_INNER";

/// A directory in memory that only this run sees; [`enter`] mounts it.
pub(crate) const WORK: &str = "/dev/shm";

/// Returns the exit code of the inner process; `None` inside it.
pub(crate) fn enter() -> Result<Option<ExitCode>> {
    if env::var_os(INNER).is_some() {
        // Everything large lies here. A tmpfs uses memory only for its content.
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8g", "power-failure", WORK])
            .status()
            .context("mount is missing")?;
        if !mounted.success() {
            bail!("a tmpfs cannot be mounted at {WORK}");
        }
        return Ok(None);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("only root can mount file systems; run this as root");
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            bail!("{device} is missing; in a container, start it with --privileged");
        }
    }
    // setpriv and unshare are part of util-linux, which every Debian has.
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"])
        .args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"])
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(INNER, "1")
        .status()
        .context("setpriv is missing; it is part of util-linux")?;
    Ok(Some(u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from)))
}
