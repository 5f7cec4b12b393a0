//! A store on a read-only medium: a squashfs image or a DVD, as a site without internet receives it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::support::{
    assert_same_blobs, copy, fail, filesystem_config, oci_layout, registry, run, tool, write_config,
};

/// A file system image mounted over its directory until dropped.
struct Mounted(PathBuf);

impl Mounted {
    #[track_caller]
    fn new(image: &Path, place: &Path) -> Self {
        fs::create_dir(place).unwrap();
        run(tool("mount").args(["-o", "loop,ro"]).arg(image).arg(place));
        Self(place.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = tool("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs skopeo, umoci and mksquashfs, as root"]
fn a_store_in_a_squashfs_image_is_served() {
    check(|data, image| {
        run(tool("mksquashfs").arg(data).arg(image).args(["-quiet", "-no-progress"]));
    });
}

#[test]
#[ignore = "needs skopeo, umoci, genisoimage and a kernel with iso9660, as root"]
fn a_store_on_a_dvd_is_served() {
    // Requests the module first, since a kernel loads it only on request.
    let _ = tool("modprobe").args(["--quiet", "isofs"]).status();
    if !fs::read_to_string("/proc/filesystems").unwrap().contains("iso9660") {
        let left = "a_store_on_a_dvd_is_served: not run: this kernel knows no iso9660";
        writeln!(std::io::stderr(), "{left}").unwrap();
        return;
    }
    check(|data, image| {
        run(tool("genisoimage").args(["-quiet", "-R", "-D", "-o"]).arg(image).arg(data));
    });
}

#[track_caller]
fn check(make: impl Fn(&Path, &Path)) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let layout = oci_layout(directory.path(), "v1", 2);
    let pushed = format!("oci:{}:v1", layout.display());
    fs::create_dir(path("data")).unwrap();
    let config = filesystem_config(&path("data"));
    let writable = registry(directory.path(), &config);
    copy(&pushed, &format!("docker://{}/team/app:v1", writable.host()), false);
    drop(writable);
    make(&path("data"), &path("image"));
    let _mounted = Mounted::new(&path("image"), &path("medium"));

    // Every feature that a site may have enabled, over a medium without free space.
    let sample = fs::read_to_string("config-samples/air-gapped/config.yml").unwrap();
    let config = sample
        .replace("/var/lib/registry", path("medium").to_str().unwrap())
        .replace("addr: :5000", "addr: 127.0.0.1:0")
        .replace("addr: 127.0.0.1:5001", "addr: 127.0.0.1:0");
    let file = write_config(directory.path(), "writes.yml", &config);
    let cli = |arguments: &[&str], file: &Path| {
        let mut command = tool(env!("CARGO_BIN_EXE_registry"));
        command.args(arguments).arg(file);
        command
    };
    for command in ["serve", "garbage-collect"] {
        let told = fail(&mut cli(&[command], &file));
        assert!(
            told.contains("mounted read-only") && told.contains("storage.maintenance.readonly"),
            "{told}"
        );
    }
    let config = config.replace("readonly:\n      enabled: false", "readonly:\n      enabled: true");
    let served = registry(directory.path(), &config);
    let file = path("sampan.yml");
    run(&mut cli(&["config", "check"], &file));
    let image = format!("docker://{}/team/app:v1", served.host());
    copy(&image, &format!("oci:{}:v1", path("pulled").display()), false);
    assert_same_blobs(&layout, &path("pulled"));
    let url = format!("http://{}", served.host());
    assert_eq!(run(tool(env!("CARGO_BIN_EXE_registry")).args(["health", "--url", &url])), "ok\n");
    let push = fail(tool("skopeo").args(["copy", "--dest-tls-verify=false", &pushed, &image]));
    assert!(push.contains("read-only at the moment"), "{push}");
    let delete = fail(tool("skopeo").args(["delete", "--tls-verify=false", &image]));
    assert!(delete.contains("read-only at the moment"), "{delete}");
    let listed = run(&mut cli(&["ls", "--config"], &file));
    assert!(listed.starts_with("team/app:v1\t"), "{listed}");
    let used = run(&mut cli(&["du", "--config"], &file));
    assert!(used.contains("team/app\t1\t1\t"), "{used}");
    let report = run(&mut cli(&["garbage-collect", "--dry-run"], &file));
    assert!(report.contains("0 B would be freed"), "{report}");
    let log = served.process.log();
    assert!(!log.contains("level=error") && !log.contains("level=warning"), "{log}");
}
