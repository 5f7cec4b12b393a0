//! Tests of the commands on a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// `htpasswd -nbB -C 5 alice wonderland`
const ALICE: &str = "alice:$2y$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2";
const APACHE_MD5: &str = "mike:$apr1$5ElebAvk$AVzmhQWgdiXg9hpZiE8sy.";

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn fixture(content: &str) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("htpasswd");
    fs::write(&path, content).unwrap();
    Fixture { _dir: dir, path }
}

impl Fixture {
    fn content(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

#[test]
fn add_creates_a_private_file_and_the_password_matches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("htpasswd");
    assert_eq!(add(&path, "alice", b"secret").unwrap(), Added::New);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(verify(&path, "alice", b"secret").unwrap(), Verdict::Right);
    assert_eq!(verify(&path, "alice", b"Secret").unwrap(), Verdict::Wrong);
}

#[test]
fn add_keeps_comments_order_and_other_lines() {
    let file = fixture(&format!("# staff\r\n{APACHE_MD5}\r\n\n{ALICE}\n# end\n"));
    assert_eq!(add(&file.path, "zoe", b"secret").unwrap(), Added::New);
    let content = file.content();
    assert!(
        content.starts_with(&format!("# staff\r\n{APACHE_MD5}\r\n\n{ALICE}\n# end\nzoe:$2b$10$")),
        "{content}"
    );
    assert!(content.ends_with('\n') && !content.ends_with("\n\n"), "{content:?}");
}

#[test]
fn add_to_a_file_without_a_last_newline_starts_a_line() {
    let file = fixture(ALICE);
    add(&file.path, "zoe", b"secret").unwrap();
    assert!(file.content().starts_with(&format!("{ALICE}\nzoe:")), "{}", file.content());
}

#[test]
fn changing_a_password_keeps_the_place_and_drops_repeated_lines() {
    let file = fixture(&format!("{ALICE}\n{APACHE_MD5}\n{ALICE}\n"));
    assert_eq!(add(&file.path, "alice", b"other").unwrap(), Added::Changed);
    let names: Vec<String> = list(&file.path).unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["alice", "mike"]);
    assert_eq!(verify(&file.path, "alice", b"other").unwrap(), Verdict::Right);
    assert_eq!(verify(&file.path, "alice", b"wonderland").unwrap(), Verdict::Wrong);
}

#[test]
fn remove_takes_every_line_of_the_user_and_nothing_else() {
    let file = fixture(&format!("# a\n{ALICE}\n{APACHE_MD5}\n{ALICE}\n"));
    remove(&file.path, "alice").unwrap();
    assert_eq!(file.content(), format!("# a\n{APACHE_MD5}\n"));
    let error = remove(&file.path, "alice").unwrap_err().to_string();
    assert!(error.starts_with("there is no user `alice` in /"), "{error}");
}

#[test]
fn list_shows_which_users_can_log_in() {
    let file = fixture(&format!("# a\n{ALICE}\n{APACHE_MD5}\n{ALICE}\n"));
    let hashes: Vec<(usize, ListedHash)> =
        list(&file.path).unwrap().into_iter().map(|user| (user.line, user.hash)).collect();
    assert_eq!(
        hashes,
        [
            (2, ListedHash::Superseded),
            (3, ListedHash::Unsupported { kind: "Apache's MD5 (apr1)" }),
            (4, ListedHash::Bcrypt { cost: 5 }),
        ]
    );
}

#[test]
fn verify_names_an_unsupported_hash() {
    let file = fixture(APACHE_MD5);
    let error = verify(&file.path, "mike", b"x").unwrap_err().to_string();
    assert!(error.starts_with("line 1 of /") && error.contains("apr1"), "{error}");
}

#[test]
fn invalid_names_and_passwords_are_refused() {
    let file = fixture(ALICE);
    for user in ["", "a:b", "a\nb", "#a", " a", "a ", &"a".repeat(256)] {
        assert!(matches!(add(&file.path, user, b"x"), Err(EditError::User { .. })), "{user:?}");
    }
    let secret = TokenSecret::random().reveal();
    for password in [&b""[..], &[b'a'; 73], b"a\0b", secret.as_bytes()] {
        assert!(matches!(add(&file.path, "a", password), Err(EditError::Password(_))), "{password:?}");
    }
    assert_eq!(file.content(), ALICE);
}

#[test]
fn a_file_of_another_format_is_unchanged() {
    let file = fixture("version: 0.1\nlog\n");
    let error = add(&file.path, "a", b"x").unwrap_err().to_string();
    assert!(error.ends_with("line 2 has no `:`; the file is unchanged"), "{error}");
    assert_eq!(file.content(), "version: 0.1\nlog\n");
}

#[test]
fn simultaneous_edits_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("htpasswd");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || add(path, &format!("user{number}"), b"password").unwrap());
        }
    });
    assert_eq!(list(&path).unwrap().len(), 8);
}
