//! `SharedFile`: a file being read, whose last close may be slow.
//!
//! Closing the last handle of a file without a name frees its blocks, which takes tens of milliseconds for a
//! large one. Its readers may outlast its deletion by a collection or its replacement by a push, and an async
//! thread must not wait that long.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

use rustix::fs::fstat;
use tokio::runtime::Handle;

use crate::file;

/// A smaller file is freed quickly.
const LARGE_BYTES: u64 = 16 * 1024 * 1024;

/// A shared file being read.
#[derive(Clone, Debug)]
pub(crate) struct SharedFile(Option<Arc<File>>);

impl SharedFile {
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self(Some(file))
    }

    /// The file itself.
    #[expect(clippy::expect_used, reason = "only `drop` removes it")]
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(self.0.as_ref().expect("invariant: the file is set until `drop`"))
    }
}

impl Deref for SharedFile {
    type Target = File;

    fn deref(&self) -> &File {
        #[expect(clippy::expect_used, reason = "only `drop` removes it")]
        self.0.as_ref().expect("invariant: the file is set until `drop`")
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        let Some(file) = self.0.take().and_then(Arc::into_inner) else { return };
        let is_freed =
            fstat(&file).is_ok_and(|stat| stat.st_nlink == 0 && file::size_bytes(&stat) >= LARGE_BYTES);
        if is_freed && let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_last_close_of_a_large_deleted_file_runs_on_a_blocking_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (release, released) = mpsc::channel::<()>();
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(LARGE_BYTES).unwrap();
        let watch = inode(&file);
        runtime.block_on(async {
            let busy = tokio::task::spawn_blocking(move || released.recv().unwrap());
            let opened =
                SharedFile::new(Arc::new(std::mem::replace(&mut file, tempfile::tempfile().unwrap())));
            drop(opened.clone());
            drop(opened);
            assert!(is_open(watch), "it was closed here");
            release.send(()).unwrap();
            busy.await.unwrap();
            tokio::task::spawn_blocking(|| {}).await.unwrap();
            assert!(!is_open(watch));
        });
    }

    fn inode(file: &File) -> (u64, u64) {
        let stat = fstat(file).unwrap();
        (stat.st_dev, stat.st_ino)
    }

    fn is_open(inode: (u64, u64)) -> bool {
        use std::os::unix::fs::MetadataExt;
        let handles = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut open = handles.filter_map(|handle| std::fs::metadata(handle.path()).ok());
        open.any(|metadata| (metadata.dev(), metadata.ino()) == inode)
    }
}
