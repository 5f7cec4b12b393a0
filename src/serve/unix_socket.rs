//! A listening unix socket and its file.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// A listening unix socket. Dropping it removes its file, unless another process has replaced the file.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    /// The path, device and inode; `None` when the file is not ours to remove.
    file: Option<(PathBuf, u64, u64)>,
}

impl UnixSocket {
    /// Binds to `path`, after removing the file that a killed process left there.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        remove_if_stale(path)?;
        let listener = UnixListener::bind(path)?;
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { listener, file: Some((path.to_owned(), metadata.dev(), metadata.ino())) })
    }

    pub(super) fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, file: None })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some((path, ..)) => path.display().fmt(f),
            None => f.write_str("unix socket"),
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let Some((path, device, inode)) = &self.file else { return };
        let is_ours = fs::symlink_metadata(path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (*device, *inode));
        if is_ours {
            // Best effort: the next start removes a stale file.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket without a listener. Never removes files of other types.
fn remove_if_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is a file that is not a socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file, as a killed process does");
        let live = UnixSocket::bind(&path).unwrap();
        assert_eq!(UnixSocket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_of_another_type_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "precious").unwrap();
        assert_eq!(UnixSocket::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let ours = UnixSocket::bind(&path).unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        let successor = UnixSocket::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists());
        drop(successor);
    }
}
