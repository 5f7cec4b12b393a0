//! Tests that need a special machine: a full disk, a read-only mount, a user without permission.
//!
//! Trials that this machine does not allow are shown as ignored; `--include-ignored` makes them failures.

#![expect(clippy::unwrap_used, reason = "a panic is how a trial fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use libtest_mimic::{Arguments, Failed, Trial};
use sampan_driver::{
    Condition, DriverConfig, DriverError, DriverPath, ErrorKind, PutMode, StorageDriver, WriteHint, WriteMode,
};
use sampan_driver_filesystem::FilesystemConfig;
use tempfile::TempDir;

/// The directory to which this program, restarted as [`UNPRIVILEGED`], must be denied access.
const AS_NOBODY: &str = "SAMPAN_TEST_AS_NOBODY";

const UNPRIVILEGED: u32 = 65534;

fn main() -> ExitCode {
    if let Some(dir) = std::env::var_os(AS_NOBODY) {
        run(permissions_are_missing(PathBuf::from(dir)));
        return ExitCode::SUCCESS;
    }
    let is_root = rustix::process::geteuid().is_root();
    let can_mount = is_root && Mount::tmpfs("size=64k").is_ok();
    let trials = vec![
        Trial::test("a_full_disk_publishes_nothing_and_leaves_no_temporary_file", || trial(full_disk()))
            .with_ignored_flag(!can_mount),
        Trial::test("a_writer_on_a_full_disk_keeps_what_fitted", || trial(full_disk_under_a_writer()))
            .with_ignored_flag(!can_mount),
        Trial::test("a_read_only_store_takes_no_writes_and_recovers", || trial(read_only()))
            .with_ignored_flag(!can_mount),
        Trial::test("an_unmounted_volume_is_unavailable", || trial(unmounted()))
            .with_ignored_flag(!can_mount),
        Trial::test("another_file_system_below_the_root_is_refused_by_name", || trial(other_file_system()))
            .with_ignored_flag(!can_mount),
        Trial::test("what_the_superuser_makes_belongs_to_the_owner_of_the_store", || trial(superuser()))
            .with_ignored_flag(!is_root),
        Trial::test("missing_permissions_are_named", move || missing_permissions(is_root)),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// Runs a future; its panic fails the trial.
fn trial(future: impl Future<Output = ()>) -> Result<(), Failed> {
    run(future);
    Ok(())
}

/// A small in-memory file system, unmounted at the end.
struct Mount(TempDir);

impl Mount {
    fn tmpfs(options: &str) -> Result<Self, Failed> {
        let dir = tempfile::tempdir()?;
        command("mount", &["-t", "tmpfs", "-o", options, "tmpfs"], dir.path())?;
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, how: &str) {
        command("mount", &["-o", &format!("remount,{how}")], self.path()).unwrap();
    }

    fn unmount(&self) {
        // Lazily, as happens to a volume in use.
        command("umount", &["-l"], self.path()).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        _ = command("umount", &["-l"], self.path());
    }
}

fn command(program: &str, args: &[&str], path: &Path) -> Result<(), Failed> {
    let output = Command::new(program).args(args).arg(path).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

async fn open(root: &Path) -> Arc<dyn StorageDriver> {
    FilesystemConfig { rootdirectory: root.to_owned(), ..Default::default() }.build().await.unwrap()
}

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

async fn walked(driver: &dyn StorageDriver) -> Vec<String> {
    driver.walk(&path("/"), None).map_ok(|info| info.path.to_string()).try_collect().await.unwrap()
}

fn causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", causes(source)),
        None => error.to_string(),
    }
}

async fn full_disk() {
    let mount = Mount::tmpfs("size=256k").unwrap();
    let driver = open(mount.path()).await;
    let file = path("/a/file");
    driver.put_content(&file, Bytes::from_static(b"old"), PutMode::Create).await.unwrap();
    for mode in [PutMode::Overwrite, PutMode::Create] {
        let target = if mode == PutMode::Create { path("/a/new") } else { file.clone() };
        let error = driver.put_content(&target, Bytes::from(vec![1; 1_000_000]), mode).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(causes(&error).contains("free some space"), "{}", causes(&error));
    }
    assert_eq!(walked(&*driver).await, ["/a/file"]);
    assert_eq!(driver.get_content(&file).await.unwrap(), "old");
}

async fn full_disk_under_a_writer() {
    let mount = Mount::tmpfs("size=256k").unwrap();
    let driver = open(mount.path()).await;
    let staged = path("/u/data");
    let mut writer = driver.writer(&staged, WriteMode::Create(WriteHint::default())).await.unwrap();
    let mut failed: Option<DriverError> = None;
    for _ in 0..40 {
        if let Err(error) = writer.write(Bytes::from(vec![1; 100_000])).await {
            failed = Some(error);
            break;
        }
    }
    assert_eq!(failed.unwrap().kind(), ErrorKind::StorageFull);
    let kept = writer.close(Bytes::new()).await.unwrap();
    assert_eq!(kept, driver.stat(&staged).await.unwrap().size_bytes);
    assert!(kept < 300_000, "{kept}");

    let mut writer = driver.writer(&staged, WriteMode::Append).await.unwrap();
    assert_eq!(writer.size(), kept);
    writer.write(Bytes::from(vec![1; 300_000])).await.unwrap();
    let error = writer.commit(&path("/blob")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(walked(&*driver).await, ["/u/data"]);
    let writer = driver.writer(&staged, WriteMode::Append).await.unwrap();
    writer.cancel().await.unwrap();
    assert!(walked(&*driver).await.is_empty());
}

async fn read_only() {
    let mount = Mount::tmpfs("size=256k").unwrap();
    let driver = open(mount.path()).await;
    let file = path("/a/file");
    driver.put_content(&file, Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    mount.remount("ro");
    let errors = [
        driver.put_content(&file, Bytes::new(), PutMode::Overwrite).await.unwrap_err(),
        driver.put_content(&path("/b/c/d"), Bytes::new(), PutMode::Create).await.unwrap_err(),
        driver.writer(&path("/u"), WriteMode::Create(WriteHint::default())).await.map(drop).unwrap_err(),
        driver.rename(&file, &path("/other")).await.unwrap_err(),
        driver.delete(&file).await.unwrap_err(),
        driver.delete_tree(&path("/a")).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(causes(&error).contains("remount it writable"), "{}", causes(&error));
    }
    assert_eq!(driver.get_content(&file).await.unwrap(), "x");
    let Condition::ReadOnly(reason) = driver.check().await.unwrap() else { panic!("it must refuse writes") };
    assert!(reason.contains("mounted read-only"), "{reason}");
    let built =
        FilesystemConfig { rootdirectory: mount.path().to_owned(), ..Default::default() }.build().await;
    assert!(built.unwrap_err().to_string().contains("mounted read-only"));
    mount.remount("rw");
    // The driver probes it a few seconds after the last failure.
    while driver.check().await.unwrap() != Condition::Writable {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    driver.put_content(&file, Bytes::from_static(b"y"), PutMode::Overwrite).await.unwrap();
}

async fn unmounted() {
    let mount = Mount::tmpfs("size=256k").unwrap();
    let driver = open(mount.path()).await;
    let file = path("/file");
    driver.put_content(&file, Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    mount.unmount();
    for result in [
        driver.stat(&path("/none")).await.map(drop),
        driver.put_content(&path("/new"), Bytes::new(), PutMode::Create).await,
        driver.put_content(&file, Bytes::new(), PutMode::Overwrite).await,
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 0, "the mount point got a file");
}

async fn other_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::tmpfs("size=256k").unwrap();
    fs::create_dir(dir.path().join("blobs")).unwrap();
    command("mount", &["--bind", mount.path().to_str().unwrap()], &dir.path().join("blobs")).unwrap();
    let driver = open(dir.path()).await;
    let mut writer = driver.writer(&path("/u"), WriteMode::Create(WriteHint::default())).await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    let writer = driver.writer(&path("/u"), WriteMode::Append).await.unwrap();
    let error = writer.commit(&path("/blobs/x")).await.unwrap_err();
    let left = walked(&*driver).await;
    command("umount", &["-l"], &dir.path().join("blobs")).unwrap();
    assert!(causes(&error).contains("on different file systems"), "{}", causes(&error));
    assert_eq!(left, ["/u"]);
}

/// Root is never denied access, so as root this program restarts itself as another user.
async fn superuser() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    let driver = open(&root).await;
    driver.put_content(&path("/a/b/small"), Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    let mut writer =
        driver.writer(&path("/a/c/staged"), WriteMode::Create(WriteHint::default())).await.unwrap();
    writer.write(Bytes::from_static(b"y")).await.unwrap();
    writer.commit(&path("/d/written")).await.unwrap();
    driver.put_content(&path("/a/b/small"), Bytes::from_static(b"z"), PutMode::Overwrite).await.unwrap();
    for name in ["a", "a/b", "a/b/small", "d", "d/written"] {
        let found = fs::metadata(root.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (UNPRIVILEGED, UNPRIVILEGED), "{name}");
    }
}

fn missing_permissions(is_root: bool) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    if !is_root {
        run(permissions_are_missing(dir.path().to_owned()));
        return Ok(());
    }
    let program = dir.path().join("program");
    // Copied by another process: a concurrent trial's child would inherit a handle for writing, which makes
    // the program "busy".
    let current = std::env::current_exe()?;
    command("cp", &[current.to_str().ok_or("the path of this program is not UTF-8")?], &program)?;
    let store = dir.path().join("store");
    fs::create_dir(&store)?;
    for (path, mode) in [(dir.path(), 0o755), (program.as_path(), 0o755), (store.as_path(), 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let output =
        Command::new(&program).env(AS_NOBODY, &store).gid(UNPRIVILEGED).uid(UNPRIVILEGED).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

async fn permissions_are_missing(dir: PathBuf) {
    let root = dir.join("root");
    let driver = open(&root).await;
    let file = path("/a/file");
    driver.put_content(&file, Bytes::from_static(b"x"), PutMode::Create).await.unwrap();
    let a = root.join("a");
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    set(&a, 0o555);
    let mut errors = vec![
        driver.put_content(&file, Bytes::new(), PutMode::Overwrite).await.unwrap_err(),
        driver.put_content(&path("/a/new"), Bytes::new(), PutMode::Create).await.unwrap_err(),
        driver.put_content(&path("/a/b/new"), Bytes::new(), PutMode::Create).await.unwrap_err(),
        driver.writer(&path("/a/u"), WriteMode::Create(WriteHint::default())).await.map(drop).unwrap_err(),
        driver.rename(&file, &path("/b")).await.unwrap_err(),
        driver.delete(&file).await.unwrap_err(),
        driver.delete_tree(&path("/a")).await.unwrap_err(),
    ];
    set(&a, 0o000);
    errors.push(driver.get_content(&file).await.map(drop).unwrap_err());
    errors.push(driver.stat(&file).await.map(drop).unwrap_err());
    errors.push(driver.list(&path("/a"), None).try_collect::<Vec<_>>().await.map(drop).unwrap_err());
    let unseen = driver.walk(&path("/"), None).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!((unseen.kind(), unseen.path()), (ErrorKind::Unseen, &path("/a")));
    assert!(causes(&unseen).contains(&format!("permission to {})", a.display())), "{}", causes(&unseen));
    set(&a, 0o755);
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        let remedy = format!("of this process permission to {})", a.display());
        assert!(causes(&error).contains(&remedy), "{}", causes(&error));
    }
    assert_eq!(driver.get_content(&file).await.unwrap(), "x");
    assert_eq!(walked(&*driver).await, ["/a/file"]);

    for (mode, rootdirectory) in [(0o555, root.clone()), (0o555, root.join("new"))] {
        set(&root, mode);
        let built = FilesystemConfig { rootdirectory, ..Default::default() }.build().await;
        set(&root, 0o755);
        let text = built.unwrap_err().to_string();
        assert!(text.contains(root.to_str().unwrap()), "{text}");
    }
}
