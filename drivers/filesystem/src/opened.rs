//! `Opened`: a file that is being read, whose last close may take its time.
//!
//! Who closes the last handle on a file without a name frees its blocks: tens of milliseconds for a large one, whose readers
//! outlast its deletion by a collection or its replacement by a push. An async thread has no time for that.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

use rustix::fs::fstat;
use tokio::runtime::Handle;

use crate::file;

/// A shorter file is freed in no time.
const LARGE_BYTES: u64 = 16 * 1024 * 1024;

/// A file that is being read by some.
#[derive(Clone, Debug)]
pub(crate) struct Opened(Option<Arc<File>>);

impl Opened {
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self(Some(file))
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        #[expect(clippy::expect_used, reason = "it is taken out by the drop alone")]
        self.0.as_ref().expect("invariant: the file is there until the drop")
    }
}

impl Drop for Opened {
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
    fn the_last_close_of_a_large_deleted_file_waits_for_a_thread_that_may_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (release, released) = mpsc::channel::<()>();
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(LARGE_BYTES).unwrap();
        let watch = inode(&file);
        runtime.block_on(async {
            let busy = tokio::task::spawn_blocking(move || released.recv().unwrap());
            let opened = Opened::new(Arc::new(std::mem::replace(&mut file, tempfile::tempfile().unwrap())));
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
