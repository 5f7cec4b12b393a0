//! A store, a certificate and passwords that belong to another user, and a medium that cannot be written to.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{binary, end};
use super::token_command;
use crate::clients::support::{RegistryProcess, filesystem_config, registry, run, tool};
use crate::support::StoreFiles;

const UNPRIVILEGED: u32 = 65534;

/// The binary, started as a user who owns nothing.
fn as_nobody(directory: &Path) -> Command {
    let mut command = binary(directory);
    command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    command
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn store(directory: &Path) -> PathBuf {
    let root = directory.join("data");
    let store = StoreFiles::new(&root);
    let image = store.image("team/app", "one", &["layer".to_owned()]);
    store.tag("team/app", "v1", &image);
    root
}

#[test]
#[ignore = "needs root"]
fn a_permission_that_is_lost_while_running_fails_the_storage_check() {
    let directory = tempfile::tempdir().unwrap();
    mode(directory.path(), 0o755);
    let root = store(directory.path());
    run(tool("chown").args(["-R", &format!("{UNPRIVILEGED}:{UNPRIVILEGED}")]).arg(&root));
    let config = filesystem_config(&root) + "health: {storagedriver: {enabled: true, interval: 100ms}}\n";
    fs::write(directory.path().join("config.yml"), config).unwrap();
    let mut served = RegistryProcess::start(as_nobody(directory.path()).args(["serve", "config.yml"]));
    let upload = |served: &RegistryProcess| {
        let url = format!("http://{}/v2/new/blobs/uploads/", served.address);
        run(tool("curl").args(["--silent", "--request", "POST", "--write-out", "%{http_code}", &url]))
    };
    assert_eq!(upload(&served), "202");
    let repositories = root.join("docker/registry/v2/repositories");
    chown(&repositories, Some(0), Some(0)).unwrap();
    served.process.wait_for(|line| {
        (line.contains("may not read and write to") && line.contains("chown -R")).then_some(())
    });
    served.process.wait_for(|line| line.contains("refusing new uploads").then_some(()));
    let refused = upload(&served);
    assert!(refused.ends_with("503"), "{refused}");
    assert!(refused.contains("this process lacks permission to write to the store"), "{refused}");
    assert!(!refused.contains(root.to_str().unwrap()), "a client learns where the store is: {refused}");
    chown(&repositories, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    served.process.wait_for(|line| line.contains("accepting new uploads again").then_some(()));
    assert_eq!(upload(&served), "202");
    assert!(served.process.terminate().success());
}

#[test]
#[ignore = "needs root"]
fn a_check_says_that_a_missing_password_file_cannot_be_created() {
    let directory = tempfile::tempdir().unwrap();
    mode(directory.path(), 0o755);
    let root = directory.path().join("data");
    fs::create_dir(&root).unwrap();
    chown(&root, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    let passwords = directory.path().join("auth/htpasswd");
    let config = format!(
        "{}auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
        filesystem_config(&root),
        passwords.display()
    );
    fs::write(directory.path().join("config.yml"), config).unwrap();
    for args in [&["serve", "config.yml"][..], &["config", "check", "config.yml"]] {
        let ended = end(as_nobody(directory.path()).args(args), "");
        assert!(ended.code == Some(1) && ended.stderr.contains("cannot be created"), "{args:?}: {ended:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn everything_that_belongs_to_another_user_is_told_at_once_below_the_root_too() {
    let directory = tempfile::tempdir().unwrap();
    mode(directory.path(), 0o755);
    let root = store(directory.path());
    let path = |name: &str| directory.path().join(name);
    for name in ["domain.crt", "domain.key", "htpasswd"] {
        fs::write(path(name), "").unwrap();
        mode(&path(name), 0o600);
    }
    let config = format!(
        "{}auth: {{htpasswd: {{realm: r, path: {}}}}}\n",
        filesystem_config(&root).replace(
            "'127.0.0.1:0'",
            &format!(
                "'127.0.0.1:0', tls: {{certificate: {}, key: {}}}",
                path("domain.crt").display(),
                path("domain.key").display()
            )
        ),
        path("htpasswd").display()
    );
    fs::write(path("config.yml"), config).unwrap();
    for command in ["serve", "check"] {
        let args = if command == "serve" {
            &["serve", "config.yml"][..]
        } else {
            &["config", "check", "config.yml"]
        };
        let ended = end(as_nobody(directory.path()).args(args), "");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for part in [
            "3 things cannot be used",
            &format!("chown -R {UNPRIVILEGED}:{UNPRIVILEGED}"),
            "auth.htpasswd.path",
            "http.tls.certificate",
            "--user 0:0",
        ] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
    }
    // As the remedy was misunderstood once: the root alone was given.
    chown(&root, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    fs::write(path("config.yml"), filesystem_config(&root)).unwrap();
    let ended = end(as_nobody(directory.path()).args(["serve", "config.yml"]), "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let remedy = format!("chown -R {UNPRIVILEGED}:{UNPRIVILEGED} {}", root.display());
    assert!(
        ended.stderr.contains("may not read and write to") && ended.stderr.contains(&remedy),
        "{ended:?}"
    );
    // To read is enough for a registry that is read-only.
    let read_only = filesystem_config(&root)
        .replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::write(path("config.yml"), read_only).unwrap();
    let ended = end(as_nobody(directory.path()).args(["config", "check", "config.yml"]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

struct ReadOnlyMount(PathBuf);

impl ReadOnlyMount {
    fn of(source: &Path, target: PathBuf) -> Self {
        fs::create_dir(&target).unwrap();
        run(tool("mount").arg("--bind").arg(source).arg(&target));
        run(tool("mount").args(["-o", "remount,bind,ro"]).arg(&target));
        Self(target)
    }
}

impl Drop for ReadOnlyMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root"]
fn a_medium_that_cannot_be_written_to_is_served_in_read_only_mode() {
    let directory = tempfile::tempdir().unwrap();
    let root = store(directory.path());
    let medium = ReadOnlyMount::of(&root, directory.path().join("dvd"));
    let writable = filesystem_config(&medium.0);
    fs::write(directory.path().join("sampan.yml"), &writable).unwrap();
    let ended = end(binary(directory.path()).args(["serve", "sampan.yml"]), "");
    assert!(
        ended.code == Some(1) && ended.stderr.contains("storage.maintenance.readonly.enabled"),
        "{ended:?}"
    );

    let config = writable
        .replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:")
        .replace("http: {", "health: {storagedriver: {enabled: true}, diskspace: {enabled: true}}\nhttp: {");
    let registry = registry(directory.path(), &config);
    let ask = |method: &str, path: &str| registry.wire().send(method, path, &[], b"");
    assert_eq!(ask("GET", "/v2/team/app/manifests/v1").status, 200);
    assert_eq!(ask("GET", "/readyz").status, 200);
    let refused = ask("POST", "/v2/team/app/blobs/uploads/");
    assert_eq!(refused.status, 405, "{refused:?}");
    let told = String::from_utf8(refused.body).unwrap();
    assert!(told.contains("read-only at the moment (maintenance)"), "{told}");
    let log = registry.process.log();
    assert!(!log.contains("level=error") && !log.contains("refused"), "{log}");
    let ended = end(binary(directory.path()).args(["garbage-collect", "--dry-run", "sampan.yml"]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
#[ignore = "needs root"]
fn commands_that_only_read_work_on_a_medium_that_cannot_be_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let root = store(at);
    let config = |root: &Path| filesystem_config(root);
    fs::write(at.join("writable.yml"), config(&root)).unwrap();
    fs::write(at.join("backup.yml"), config(&at.join("backup"))).unwrap();
    let saved = end(binary(at).args(["backup", "run", "--to", "backup.yml", "writable.yml"]), "");
    assert_eq!(saved.code, Some(0), "{saved:?}");
    let exported = end(binary(at).args("export ** -c writable.yml -o b.tar".split(' ')), "");
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let medium = ReadOnlyMount::of(&root, at.join("dvd"));
    let backups = ReadOnlyMount::of(&at.join("backup"), at.join("backup-dvd"));
    fs::write(at.join("dvd.yml"), config(&medium.0)).unwrap();
    fs::write(at.join("backup-dvd.yml"), config(&backups.0)).unwrap();
    for arguments in [
        "verify dvd.yml",
        "bundle verify b.tar --against dvd.yml",
        "tag removed team/app --config dvd.yml",
        "backup list backup-dvd.yml",
        "backup verify backup-dvd.yml",
    ] {
        let ended = end(binary(at).args(arguments.split(' ')), "");
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
        if arguments.starts_with("verify") {
            assert!(ended.stderr.contains("its progress is not kept"), "{ended:?}");
        }
    }
    // The end of a migration needs the source only for a mark.
    let read_only =
        config(&medium.0).replace("  delete:", "  maintenance: {readonly: {enabled: true}}\n  delete:");
    fs::write(at.join("old.yml"), read_only).unwrap();
    fs::write(at.join("new.yml"), config(&at.join("new"))).unwrap();
    let moved = end(binary(at).args("migrate --from old.yml --to new.yml --finish".split(' ')), "");
    assert_eq!(moved.code, Some(0), "{moved:?}");
    assert!(moved.stdout.contains("the stores are equal"), "{moved:?}");
    assert!(moved.stderr.contains("cannot be marked as moved"), "{moved:?}");
}

#[test]
#[ignore = "needs root"]
fn a_record_that_a_command_of_root_begins_belongs_to_the_owner_of_its_folder() {
    let site = token_command::site(token_command::CONFIG);
    let at = site.path();
    chown(at, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    let create = |name: &str| {
        token_command::registry(at, &format!("token create {name} --may pull --on ** --expires 1d"), "")
    };
    let made = create("ci");
    assert_eq!(made.code, Some(0), "{made:?}");
    let record = at.join("audit.log");
    let owner = || fs::metadata(&record).map(|found| (found.uid(), found.gid())).unwrap();
    assert_eq!(owner(), (UNPRIVILEGED, UNPRIVILEGED));
    // One that is there keeps its owner.
    chown(&record, Some(7), Some(7)).unwrap();
    assert_eq!(create("another").code, Some(0));
    assert_eq!((owner(), fs::read_to_string(&record).unwrap().lines().count()), ((7, 7), 2));
    // A link of another user may lead to a place where only root writes.
    fs::remove_file(&record).unwrap();
    let target = at.join("of root");
    symlink(&target, &record).unwrap();
    lchown(&record, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    let told = create("third");
    assert!(told.stderr.contains("root does not follow the link of another user"), "{told:?}");
    assert!(!target.exists());
}

#[test]
#[ignore = "needs root"]
fn passwords_and_keys_that_a_command_of_root_makes_belong_to_the_owner_of_their_folder() {
    let config = token_command::CONFIG.replace("tokens: {", "tokens: {signingkey: signing.pem, ");
    let site = token_command::site(&config);
    let at = site.path();
    chown(at, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    let added = token_command::registry(at, "user add alice", "wonderland");
    assert_eq!(added.code, Some(0), "{added:?}");
    let rotated = end(binary(at).args(["access", "rotate-key", "config.yml"]), "");
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    for name in ["htpasswd", "signing.pem"] {
        let found = fs::metadata(at.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (UNPRIVILEGED, UNPRIVILEGED), "{name}");
        assert_eq!(found.mode() & 0o777, 0o600, "{name}");
    }
}

/// The root of a rootless container: of the users of the machine only the one that started it has a number there.
#[test]
#[ignore = "needs root"]
fn a_folder_whose_owner_a_container_does_not_know_takes_new_files() {
    let site = token_command::site(token_command::CONFIG);
    let at = site.path();
    chown(at, Some(UNPRIVILEGED - 1), Some(UNPRIVILEGED - 1)).unwrap();
    mode(at, 0o777);
    let contained = |arguments: &str, input: &str| {
        let mut command = tool("unshare");
        command.arg("--map-root-user").arg(binary(at).get_program());
        end(command.args(arguments.split(' ')).current_dir(at), input)
    };
    for (arguments, input) in [
        ("htpasswd add htpasswd alice", "wonderland"),
        ("certificate --out . localhost", ""),
        ("token create ci --may pull --on ** --expires 1d --config config.yml", ""),
        ("access rotate-key config.yml", ""),
    ] {
        let ended = contained(arguments, input);
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
    }
    for name in ["htpasswd", "ca.key", "domain.key", "audit.log", "signing.pem"] {
        assert!(fs::metadata(at.join(name)).is_ok_and(|found| found.len() > 0), "{name}");
    }
}
