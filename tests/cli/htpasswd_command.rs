//! `registry htpasswd`.

use super::support::{Ended, binary, end};

#[test]
fn a_user_is_added_verified_changed_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("auth")).unwrap();
    let htpasswd = |action: &str, user: Option<&str>, password: &str| -> Ended {
        let mut command = binary(directory.path());
        command.args(["htpasswd", action, "auth/htpasswd"]).args(user);
        end(&mut command, password)
    };
    assert_eq!(htpasswd("add", Some("alice"), "first\n").code, Some(0));
    assert_eq!(htpasswd("add", Some("bob"), "other").code, Some(0));
    assert_eq!(htpasswd("verify", Some("alice"), "first\n").code, Some(0));
    let wrong = htpasswd("verify", Some("alice"), "wrong\n");
    assert_eq!((wrong.code, wrong.stderr.as_str()), (Some(1), "registry: the password is wrong\n"));

    assert_eq!(htpasswd("add", Some("alice"), "second\n").code, Some(0));
    assert_eq!(htpasswd("verify", Some("alice"), "first\n").code, Some(1));
    assert_eq!(htpasswd("verify", Some("alice"), "second\n").code, Some(0));
    let list = htpasswd("list", None, "");
    assert!(list.stdout.contains("alice\tbcrypt") && list.stdout.contains("bob\tbcrypt"), "{list:?}");

    assert_eq!(htpasswd("remove", Some("alice"), "").code, Some(0));
    let again = htpasswd("remove", Some("alice"), "");
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("no user `alice` in auth/htpasswd"), "{again:?}");
}

#[test]
fn a_name_that_would_break_the_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ended = end(binary(directory.path()).args(["htpasswd", "add", "htpasswd", "a:b"]), "secret");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("a:b"), "{ended:?}");
    assert!(!directory.path().join("htpasswd").exists());
}
