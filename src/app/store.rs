//! Checks the directory of a local store before its use: that it is a store, and that this process has permissions in it. The
//! driver knows nothing of repositories, and sees only its root.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sampan_config::Config;
use sampan_driver::{DriverPath, StoreAccess};
use sampan_engine::layout;

use super::AppError;

/// The number of directories of one kind to check below the root: a wrong owner is mostly wrong everywhere.
const SAMPLES: usize = 3;

/// How the registry of `config` uses its store.
pub(super) fn access(config: &Config) -> StoreAccess {
    match config.storage.maintenance.readonly.enabled {
        true => StoreAccess::ReadOnly,
        false => StoreAccess::ReadWrite,
    }
}

/// Warns of a root that is neither empty nor a store, and refuses one that the driver cannot use, or without the needed
/// permissions.
///
/// # Errors
///
/// If a symbolic link leads out of the root on the way to every image, or this process lacks permissions that every pull
/// (or, for writing, every push) needs.
pub(super) fn examine(root: &Path, access: StoreAccess) -> Result<(), AppError> {
    if let Some((link, target)) = leading_out(root) {
        return Err(AppError::NoStore(how_to_replace(root, &link, &target)));
    }
    if let Some(warning) = DirectoryKind::of(root).warning(root) {
        tracing::warn!("{warning}");
    }
    check_permissions(root, access)
}

/// Refuses a root without a store: a collection there would find nothing and report success.
///
/// # Errors
///
/// If `root` is not a store.
pub(super) fn require(root: &Path) -> Result<(), AppError> {
    let place = DirectoryKind::of(root);
    let what = match &place {
        DirectoryKind::Store => return Ok(()),
        DirectoryKind::Empty if !root.exists() => "the directory is not there".to_owned(),
        DirectoryKind::Empty => "the directory is empty".to_owned(),
        place => place.hint(),
    };
    Err(AppError::NoStore(format!(
        "storage.filesystem.rootdirectory: there is no store in {}: {what}",
        root.display()
    )))
}

/// Whether the file system of `root` is mounted read-only.
pub(super) fn is_on_read_only_medium(root: &Path) -> bool {
    rustix::fs::accessat(CWD, root, Access::WRITE_OK, AtFlags::EACCESS) == Err(Errno::ROFS)
}

/// Whether `root` is missing or empty.
pub(super) fn is_empty(root: &Path) -> bool {
    DirectoryKind::of(root) == DirectoryKind::Empty
}

/// A lock on the directory of a store, by which another registry on this machine notices that it is not alone. It prevents
/// nothing: several registries may serve one store.
#[derive(Debug)]
pub(super) struct InUse(#[expect(dead_code, reason = "held, and let go of at the end")] OwnedFd);

impl InUse {
    /// Locks `root`, and logs an existing lock. A file system without locks has none.
    pub(super) fn of(root: &Path) -> Option<Self> {
        let directory =
            rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .ok()?;
        if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) == Err(Errno::AGAIN) {
            tracing::info!(
                "another registry on this machine also serves {}: both share its content",
                root.display()
            );
        }
        rustix::fs::flock(&directory, FlockOperation::NonBlockingLockShared).ok()?;
        Some(Self(directory))
    }
}

/// The kind of a directory.
#[derive(Debug, Eq, PartialEq)]
enum DirectoryKind {
    Store,
    /// The directory is missing or empty.
    Empty,
    /// It has files but is no store; a subdirectory is one.
    Elsewhere(PathBuf),
    /// It is a part of a store, below the store's root.
    Inside(PathBuf),
    Strange,
}

impl DirectoryKind {
    fn of(root: &Path) -> Self {
        let below = |path: &DriverPath| PathBuf::from(path.as_str().trim_start_matches('/'));
        let (repositories, blobs) = (below(&layout::repositories_root()), below(&layout::blobs_root()));
        // What may be there before the first image.
        let (tokens, jobs) = (below(&layout::access_tokens_root()), below(&layout::sync_root()));
        let parts = [&repositories, &blobs, &tokens, &jobs];
        let is_store = |root: &Path| parts.into_iter().any(|path| root.join(path).is_dir());
        if is_store(root) {
            return Self::Store;
        }
        let children: Vec<PathBuf> = fs::read_dir(root)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| !is_furniture(path))
            .collect();
        if children.is_empty() {
            return Self::Empty;
        }
        // The root may end with any component of the path to the repositories.
        for base in [&repositories, &blobs] {
            let mut rest = base.as_path();
            while let Some((_, tail)) = split_first(rest) {
                rest = tail;
                if rest.as_os_str().is_empty() || !root.join(rest).is_dir() {
                    continue;
                }
                let levels = base.components().count() - rest.components().count();
                return match root.ancestors().nth(levels).filter(|above| is_store(above)) {
                    Some(above) => Self::Elsewhere(above.to_owned()),
                    None => Self::Inside(rest.to_owned()),
                };
            }
        }
        match children.into_iter().find(|child| is_store(child)) {
            Some(child) => Self::Elsewhere(child),
            None => Self::Strange,
        }
    }

    fn warning(&self, root: &Path) -> Option<String> {
        match self {
            Self::Store | Self::Empty => None,
            place => Some(format!(
                "storage.filesystem.rootdirectory: {} is not empty but contains no images: {}",
                root.display(),
                place.hint()
            )),
        }
    }

    fn hint(&self) -> String {
        let way = layout::repositories_root();
        match self {
            Self::Elsewhere(path) => {
                format!("the store is in {}: set rootdirectory (or the volume) to that", path.display())
            }
            Self::Inside(part) => format!(
                "it contains {}, as the inside of a store does: set rootdirectory (or the volume) to the directory that \
                 contains {}",
                part.display(),
                way.as_str().trim_start_matches('/')
            ),
            Self::Store | Self::Empty | Self::Strange => {
                format!(
                    "a store contains {}: check rootdirectory, and the volume that is mounted there",
                    &way.as_str()[1..]
                )
            }
        }
    }
}

fn split_first(path: &Path) -> Option<(PathBuf, &Path)> {
    let mut components = path.components();
    let first = components.next()?;
    Some((PathBuf::from(first.as_os_str()), components.as_path()))
}

/// Entries that exist without a registry, and our own queue of notifications.
fn is_furniture(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || matches!(&*name, "lost+found" | "notifications")
}

/// Checks the permissions of this process below the root. A directory that every push needs is an error; repositories that
/// only some pushes need are a warning.
fn check_permissions(root: &Path, access: StoreAccess) -> Result<(), AppError> {
    if let Some(remedy) = refusal(root, access) {
        return Err(AppError::NoPermission(remedy));
    }
    let children = roots(root).into_iter().flat_map(|path| directories(&path));
    let samples: Vec<PathBuf> =
        children.flat_map(|child| [directories(&child), vec![child]].concat()).collect();
    if let Some(path) = samples.into_iter().find(|path| is_refused(path, access)) {
        tracing::warn!("{}", how_to_permit(root, &path, access));
    }
    Ok(())
}

/// The remedy if this process lacks permissions that every pull (or, for writing, every push) needs.
pub(super) fn refusal(root: &Path, access: StoreAccess) -> Option<String> {
    let mut needed = Vec::new();
    for path in roots(root) {
        let below_root = path.ancestors().take_while(|above| *above != root).count();
        needed.extend(path.ancestors().take(below_root).map(Path::to_owned));
    }
    needed.sort();
    needed.dedup();
    let path = needed.into_iter().find(|path| is_refused(path, access))?;
    Some(how_to_permit(root, &path, access))
}

/// The first symbolic link on the way to the repositories and blobs that leads out of `root`, and its target. The driver
/// follows none of these.
fn leading_out(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let directory = rustix::fs::open(root, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    roots(root).iter().find_map(|path| {
        let below = path.strip_prefix(root).ok()?;
        let mut ways: Vec<&Path> = below.ancestors().filter(|way| !way.as_os_str().is_empty()).collect();
        ways.reverse();
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let way = ways.into_iter().find(|way| {
            let opened = rustix::fs::openat2(&directory, *way, flags, Mode::empty(), resolve);
            opened.err() == Some(Errno::XDEV)
        })?;
        Some((root.join(way), fs::canonicalize(root.join(way)).ok()?))
    })
}

fn how_to_replace(root: &Path, link: &Path, target: &Path) -> String {
    let levels = link.strip_prefix(root).map_or(0, |below| below.components().count());
    // The target may be the same part of a whole store elsewhere.
    let elsewhere = target
        .ancestors()
        .nth(levels)
        .filter(|above| link.strip_prefix(root).is_ok_and(|below| above.join(below) == target));
    let remedy = match elsewhere {
        Some(above) => format!("set rootdirectory (or the volume) to {}", above.display()),
        None => format!("mount {} there instead (mount --bind, or a volume)", target.display()),
    };
    format!(
        "storage.filesystem.rootdirectory: {} is a symbolic link that leads out of {}, which this registry does not \
         follow: {remedy}",
        link.display(),
        root.display()
    )
}

/// The directories of repositories and blobs.
fn roots(root: &Path) -> [PathBuf; 2] {
    [layout::repositories_root(), layout::blobs_root()]
        .map(|path| root.join(path.as_str().trim_start_matches('/')))
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.take(SAMPLES).map(|entry| entry.path()).collect()
}

fn is_refused(path: &Path, access: StoreAccess) -> bool {
    let wanted = match access {
        StoreAccess::ReadOnly => Access::READ_OK | Access::EXEC_OK,
        StoreAccess::ReadWrite => Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    };
    rustix::fs::accessat(CWD, path, wanted, AtFlags::EACCESS) == Err(Errno::ACCESS)
}

fn how_to_permit(root: &Path, path: &Path, access: StoreAccess) -> String {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let owner =
        fs::metadata(path).map_or(String::new(), |metadata| format!(" of the user {}", metadata.uid()));
    let may_not = match access {
        StoreAccess::ReadOnly => "read",
        StoreAccess::ReadWrite => "read and write to",
    };
    format!(
        "the user {user} of this process may not {may_not} {}{owner}: chown -R {user}:{group} {} (in a container: the \
         directory of the host that is mounted there), or run the registry as the user whose it is (for root: docker run \
         --user 0:0)",
        path.display(),
        root.display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_store_behind_a_link_that_leads_out_is_refused_with_a_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        let (root, big) = (base.join("root"), base.join("big"));
        fs::create_dir_all(big.join("docker/registry/v2/blobs")).unwrap();
        fs::create_dir_all(&root).unwrap();
        let refusal = || examine(&root, StoreAccess::ReadWrite).unwrap_err().to_string();

        symlink("../big/docker", root.join("docker")).unwrap();
        assert!(
            refusal().ends_with(&format!("set rootdirectory (or the volume) to {}", big.display())),
            "{}",
            refusal()
        );
        fs::remove_file(root.join("docker")).unwrap();
        fs::create_dir_all(root.join("docker/registry/v2")).unwrap();
        symlink(big.join("docker/registry/v2/blobs"), root.join("docker/registry/v2/blobs")).unwrap();
        assert!(refusal().contains("v2/blobs is a symbolic link that leads out of"), "{}", refusal());
        fs::remove_file(root.join("docker/registry/v2/blobs")).unwrap();
        symlink(&big, root.join("docker/registry/v2/blobs")).unwrap();
        assert!(refusal().contains(&format!("mount {} there", big.display())), "{}", refusal());

        // A link that stays below the root is followed, and so is the root itself.
        fs::remove_file(root.join("docker/registry/v2/blobs")).unwrap();
        fs::create_dir(root.join("inside")).unwrap();
        symlink("../../../inside", root.join("docker/registry/v2/blobs")).unwrap();
        symlink(&root, base.join("link")).unwrap();
        examine(&base.join("link"), StoreAccess::ReadWrite).unwrap();
    }

    #[test]
    fn a_root_that_is_off_by_some_levels_is_told_the_right_one() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("data");
        fs::create_dir_all(root.join("docker/registry/v2/repositories/app")).unwrap();
        let check = |given: &Path, expected: &DirectoryKind| {
            assert_eq!(DirectoryKind::of(given), *expected, "{}", given.display());
        };
        check(&root, &DirectoryKind::Store);
        check(&root.join("nowhere"), &DirectoryKind::Empty);
        for off in ["docker", "docker/registry", "docker/registry/v2"] {
            check(&root.join(off), &DirectoryKind::Elsewhere(root.clone()));
        }
        check(directory.path(), &DirectoryKind::Elsewhere(root.clone()));
        // As in a container whose volume is mounted one level too deep.
        fs::rename(root.join("docker"), directory.path().join("mounted")).unwrap();
        check(&directory.path().join("mounted"), &DirectoryKind::Inside("registry/v2/repositories".into()));
        fs::create_dir_all(root.join("lost+found")).unwrap();
        check(&root, &DirectoryKind::Empty);
        fs::write(root.join("photo.jpg"), "").unwrap();
        check(&root, &DirectoryKind::Strange);
    }
}
