//! The `storage.filesystem` section of the configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use sampan_driver::{BoxError, BuildError, DriverConfig, StorageDriver, StoreAccess};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::driver::FilesystemDriver;
use crate::error::NAME;
use crate::spelling;
use crate::store::Store;

/// With fewer threads, uploads would wait for each other; Distribution has the same floor.
const MIN_THREADS: usize = 25;

/// The location of the store, and the limit on threads.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemConfig {
    /// The directory of all files; created if missing. A relative path starts at the working directory.
    pub rootdirectory: PathBuf,
    /// The most concurrent blocking calls; less than 25 means 25.
    #[serde(deserialize_with = "number_or_text")]
    pub maxthreads: usize,
}

impl Default for FilesystemConfig {
    fn default() -> Self {
        Self { rootdirectory: PathBuf::from("/var/lib/registry"), maxthreads: 100 }
    }
}

#[async_trait]
impl DriverConfig for FilesystemConfig {
    const NAME: &'static str = NAME;

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.open(StoreAccess::ReadWrite).await
    }

    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.open(StoreAccess::ReadOnly).await
    }

    fn check(&self, access: StoreAccess) -> Result<(), BuildError> {
        let root = absolute(&self.rootdirectory)?;
        if access == StoreAccess::ReadWrite && !root.is_dir() {
            return check_that_it_can_be_made(&root);
        }
        check_permissions(&root, access)
    }
}

impl FilesystemConfig {
    async fn open(self, access: StoreAccess) -> Result<Arc<dyn StorageDriver>, BuildError> {
        let max_threads = self.threads();
        let opened =
            tokio::task::spawn_blocking(move || open(&self.rootdirectory, access, max_threads)).await;
        let store = opened
            .map_err(|error| BuildError::new("cannot open storage.filesystem").with_source(error))??;
        Ok(Arc::new(FilesystemDriver::new(store)))
    }

    fn threads(&self) -> usize {
        self.maxthreads.max(MIN_THREADS)
    }
}

fn open(directory: &Path, access: StoreAccess, max_threads: usize) -> Result<Store, BuildError> {
    let root = absolute(directory)?;
    if access == StoreAccess::ReadWrite {
        make(&root)?;
    }
    check_permissions(&root, access)?;
    let store = Store::open(root.clone(), max_threads).map_err(|errno| {
        refuse(format!("cannot open the directory {}", root.display())).with_source(errno)
    })?;
    // The check writes a file.
    if access == StoreAccess::ReadWrite && spelling::folds_case(&store.root) {
        tracing::warn!(
            "the file system of {} ignores case: tags such as V1 and v1 will be the same; \
             keep the store on a case-sensitive one",
            root.display()
        );
    }
    Ok(store)
}

fn refuse(problem: String) -> BuildError {
    BuildError::new(format!("storage.filesystem.rootdirectory: {problem}"))
}

fn absolute(directory: &Path) -> Result<PathBuf, BuildError> {
    if directory.as_os_str().is_empty() {
        return Err(refuse("it is empty; set the directory for the registry's data".to_owned()));
    }
    std::path::absolute(directory).map_err(|error| {
        refuse(format!("cannot make {} an absolute path", directory.display())).with_source(error)
    })
}

fn make(root: &Path) -> Result<(), BuildError> {
    let is_new = !root.exists();
    std::fs::create_dir_all(root).map_err(|error| cannot_be_made(root, error))?;
    if is_new {
        tracing::info!(
            "created {}, which did not exist: if it should contain images, make sure that its disk is mounted",
            root.display()
        );
    }
    Ok(())
}

fn check_that_it_can_be_made(root: &Path) -> Result<(), BuildError> {
    let above = existing_ancestor(root).unwrap_or(root);
    let access = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(CWD, above, access, AtFlags::EACCESS) {
        Ok(()) if obstacle(root).is_none() => Ok(()),
        Ok(()) => Err(cannot_be_made(root, Errno::NOTDIR)),
        Err(errno) => Err(cannot_be_made(root, errno)),
    }
}

fn cannot_be_made(root: &Path, cause: impl Into<BoxError>) -> BuildError {
    let user = rustix::process::geteuid().as_raw();
    let (remedy, cause) = match (obstacle(root), existing_ancestor(root)) {
        (Some((remedy, errno)), _) => (remedy, errno.into()),
        (None, Some(above)) => {
            (format!("create it, or let the user {user} write to {}", above.display()), cause.into())
        }
        (None, None) => ("create it".to_owned(), cause.into()),
    };
    refuse(format!("cannot create the directory {}: {remedy}", root.display())).with_source(cause)
}

/// A thing in the place of the root, or of a directory above it, that is no directory: the remedy, and the cause.
fn obstacle(root: &Path) -> Option<(String, Errno)> {
    if rustix::fs::lstat(root).err() == Some(Errno::NAMETOOLONG) {
        return Some(("the name is too long; set another path".to_owned(), Errno::NAMETOOLONG));
    }
    let place = root.ancestors().find(|place| place.symlink_metadata().is_ok())?;
    match rustix::fs::stat(place) {
        Ok(_) if place.is_dir() => None,
        Ok(_) => Some((format!("{} is not a directory; set another path", place.display()), Errno::NOTDIR)),
        Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
            let remedy = "leads nowhere; mount the disk that it leads to, or set another path";
            Some((format!("the symbolic link {} {remedy}", place.display()), errno))
        }
        Err(_) => None,
    }
}

/// Checks access, and names the remedy that container users need for a directory of another user.
fn check_permissions(root: &Path, access: StoreAccess) -> Result<(), BuildError> {
    let (wanted, how) = match access {
        StoreAccess::ReadOnly => (Access::READ_OK | Access::EXEC_OK, "readable"),
        StoreAccess::ReadWrite => {
            (Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, "readable and writable")
        }
    };
    rustix::fs::accessat(CWD, root, wanted, AtFlags::EACCESS).map_err(|errno| {
        let (obstacle, errno) = obstacle(root).map_or((None, errno), |(remedy, cause)| (Some(remedy), cause));
        let remedy = obstacle.unwrap_or_else(|| match errno {
            Errno::ROFS => "its file system is mounted read-only; remount it writable, or set \
                            storage.maintenance.readonly.enabled to serve its content"
                .to_owned(),
            Errno::NOENT => "it does not exist; check the path, and that its disk is mounted".to_owned(),
            _ => {
                let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                format!(
                    "give it and its content to the user {user} of this process (chown -R {user}:{group} on the directory; \
                     in a container, on the mounted directory of the host), or run the registry as its owner \
                     (for root: docker run --user 0:0)"
                )
            }
        });
        refuse(format!("the directory {} is not {how}: {remedy}", root.display())).with_source(errno)
    })
}

fn existing_ancestor(path: &Path) -> Option<&Path> {
    path.ancestors().find(|ancestor| ancestor.exists())
}

/// Parses a number, or text with a number (as from environment variables and templates); nothing means the
/// default.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct Count(usize);

    struct CountVisitor;

    impl Visitor<'_> for CountVisitor {
        type Value = Count;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of threads, such as 100")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
            Ok(Count(usize::try_from(number).unwrap_or(usize::MAX)))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
            // Distribution raises a negative number to the minimum, like any too small number.
            Ok(Count(usize::try_from(number).unwrap_or(0)))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
            text.trim().parse().map(Count).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Count, E> {
            Ok(Count(FilesystemConfig::default().maxthreads))
        }
    }

    impl<'de> Deserialize<'de> for Count {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(CountVisitor)
        }
    }

    Count::deserialize(deserializer).map(|count| count.0)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn parse(json: &str) -> Result<FilesystemConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn the_defaults_are_distributions() {
        let config = parse("{}").unwrap();
        assert_eq!((config.rootdirectory.to_str().unwrap(), config.maxthreads), ("/var/lib/registry", 100));
    }

    #[test]
    fn maxthreads_is_a_number_or_text_and_at_least_the_minimum() {
        for (json, threads) in [
            ("100", 100),
            ("\"40\"", 40),
            ("\" 40 \"", 40),
            ("24", 25),
            ("0", 25),
            ("-3", 25),
            ("\"1\"", 25),
            ("25", 25),
            ("null", 100),
            ("18446744073709551615", usize::MAX),
        ] {
            assert_eq!(parse(&format!("{{\"maxthreads\": {json}}}")).unwrap().threads(), threads, "{json}");
        }
        for json in ["\"many\"", "\"\"", "1.5", "true", "[1]", "\"-1\""] {
            let error = parse(&format!("{{\"maxthreads\": {json}}}")).unwrap_err().to_string();
            assert!(error.contains("a number of threads"), "{json}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse(r#"{"rootdir": "/x"}"#).unwrap_err().to_string();
        assert!(error.contains("rootdir") && error.contains("rootdirectory"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_root_is_created_with_its_parents() {
        let dir = tempfile::tempdir().unwrap();
        let rootdirectory = dir.path().join("a/b/c");
        FilesystemConfig { rootdirectory: rootdirectory.clone(), ..Default::default() }
            .build()
            .await
            .unwrap();
        assert!(rootdirectory.is_dir());
    }

    #[tokio::test]
    async fn an_impossible_root_is_refused_with_its_path_and_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for rootdirectory in [file.clone(), file.join("below")] {
            let built = FilesystemConfig { rootdirectory, ..Default::default() }.build().await;
            let error = built.unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with("storage.filesystem.rootdirectory: cannot create the directory "),
                "{text}"
            );
            assert!(text.contains(&format!("{} is not a directory", file.display())), "{text}");
            assert!(error.source().is_some());
        }
        let [dangling, circle] = ["dangling", "circle"].map(|name| dir.path().join(name));
        symlink("unmounted/disk", &dangling).unwrap();
        symlink("circle", &circle).unwrap();
        let long = dir.path().join("x".repeat(300));
        for (rootdirectory, remedy) in [
            (&file, "is not a directory; set another path"),
            (&dangling, "leads nowhere; mount the disk that it leads to"),
            (&dangling.join("below"), "leads nowhere; mount the disk that it leads to"),
            (&circle, "leads nowhere; mount the disk that it leads to"),
            (&long, "the name is too long; set another path"),
        ] {
            let config = FilesystemConfig { rootdirectory: rootdirectory.clone(), ..Default::default() };
            for access in [StoreAccess::ReadWrite, StoreAccess::ReadOnly] {
                let error = config.check(access).unwrap_err().to_string();
                assert!(error.contains(remedy), "{access:?}: {error}");
                let error = config.clone().open(access).await.unwrap_err().to_string();
                assert!(error.contains(remedy), "{access:?}: {error}");
            }
        }
        let empty = FilesystemConfig { rootdirectory: PathBuf::new(), ..Default::default() }.build().await;
        assert!(empty.unwrap_err().to_string().contains("it is empty"));
    }
}
