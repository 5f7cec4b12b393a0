//! Tests of logins, with a controlled clock.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::auth::token_secret::TokenSecret;
use crate::test_log::TestLog;

/// `htpasswd -nbB -C 5 alice wonderland`
const ALICE: &str = "alice:$2y$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2\n";
/// `htpasswd -nbB -C 4 bob pässwörd`
const BOB: &str = "bob:$2y$04$pIL7uSsVKrWD2I5z/fQzjeRJLFs7K4vFgvuCgvW/XJWTTxHTykVJi\n";

struct Fixture {
    dir: tempfile::TempDir,
    htpasswd: Htpasswd,
}

impl Fixture {
    async fn new(content: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("htpasswd"), content).unwrap();
        let path = dir.path().join("htpasswd");
        let htpasswd = Htpasswd::open("Registry", path, ThrottleOptions::default()).await.unwrap();
        Self { dir, htpasswd }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("htpasswd")
    }

    /// Advances the clock so that the next login checks the file.
    async fn after_a_look(&self) {
        tokio::time::advance(CheckInterval::EVERY).await;
    }

    async fn login(&self, user: &str, password: &str) -> Result<Grant, Denied> {
        let header = format!("Basic {}", STANDARD.encode([user, ":", password].concat()));
        self.ask(Some(&HeaderValue::from_str(&header).unwrap())).await
    }

    async fn ask(&self, authorization: Option<&HeaderValue>) -> Result<Grant, Denied> {
        let client = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        let credentials = Credentials { authorization, client, ..Credentials::default() };
        self.htpasswd.authorize(&credentials, &[Access::catalog()]).await
    }
}

fn reason(denied: Result<Grant, Denied>) -> ChallengeReason {
    match denied {
        Err(Denied::Challenge { challenges, reason }) => {
            assert_eq!(challenges, [HeaderValue::from_static(r#"Basic realm="Registry""#)]);
            reason
        }
        other => panic!("not a challenge: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_password_grants_everything() {
    let fixture = Fixture::new(ALICE).await;
    let grant = fixture.login("alice", "wonderland").await.unwrap();
    assert_eq!(grant.user.as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn any_other_credentials_are_challenged() {
    let fixture = Fixture::new(ALICE).await;
    assert_eq!(reason(fixture.ask(None).await), ChallengeReason::Missing);
    let bearer = HeaderValue::from_static("Bearer abc");
    assert_eq!(reason(fixture.ask(Some(&bearer)).await), ChallengeReason::Unreadable);
    assert_eq!(reason(fixture.login("alice", "wrong").await), ChallengeReason::Wrong);
    assert_eq!(reason(fixture.login("nobody", "wonderland").await), ChallengeReason::Wrong);
    assert_eq!(reason(fixture.login("", "").await), ChallengeReason::Wrong);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_credentials_is_not_a_failure() {
    let fixture = Fixture::new(ALICE).await;
    for _ in 0..50 {
        assert_eq!(reason(fixture.ask(None).await), ChallengeReason::Missing);
    }
    fixture.login("alice", "wonderland").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_are_delayed_increasingly_and_then_refused() {
    let fixture = Fixture::new(ALICE).await;
    let mut delays = Vec::new();
    for number in 0..10 {
        let begun = Instant::now();
        let password = format!("wrong-{number}");
        assert_eq!(reason(fixture.login("alice", &password).await), ChallengeReason::Wrong);
        delays.push(begun.elapsed().as_millis());
    }
    assert_eq!(delays[..6], [250, 500, 1000, 2000, 4000, 4000]);
    let begun = Instant::now();
    let refused = fixture.login("alice", "wonderland").await;
    let Err(Denied::TooManyAttempts { retry_after }) = refused else { panic!("{refused:?}") };
    assert!(begun.elapsed().is_zero(), "a refusal is not delayed");
    tokio::time::advance(retry_after).await;
    fixture.login("alice", "wonderland").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_password_that_matched_is_neither_compared_again_nor_refused() {
    let fixture = Fixture::new(ALICE).await;
    fixture.login("alice", "wonderland").await.unwrap();
    for _ in 0..10 {
        // The client disconnects before its delay is over.
        tokio::time::timeout(Duration::from_millis(100), fixture.login("alice", "wrong")).await.unwrap_err();
    }
    fixture.htpasswd.queue.comparisons.close();
    fixture.login("alice", "wonderland").await.unwrap();
    assert_eq!(fixture.login("bob", "x").await, Err(Denied::Unavailable), "nothing is comparable");
}

#[tokio::test(start_paused = true)]
async fn a_login_without_a_turn_is_refused_with_retry_after() {
    let fixture = Fixture::new(ALICE).await;
    let cores = fixture.htpasswd.queue.comparisons.available_permits() as u32;
    let _all = fixture.htpasswd.queue.comparisons.acquire_many(cores).await.unwrap();
    assert_eq!(fixture.login("alice", "wonderland").await, Err(Denied::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_seen_by_the_next_login_and_ends_the_cache() {
    let fixture = Fixture::new(ALICE).await;
    fixture.login("alice", "wonderland").await.unwrap();
    fs::write(fixture.path(), BOB).unwrap();
    fixture.after_a_look().await;
    fixture.login("bob", "pässwörd").await.unwrap();
    assert_eq!(reason(fixture.login("alice", "wonderland").await), ChallengeReason::Wrong);
}

#[tokio::test(start_paused = true)]
async fn the_file_is_checked_once_a_second_or_on_reload() {
    let fixture = Fixture::new(ALICE).await;
    fs::write(fixture.path(), BOB).unwrap();
    fixture.login("alice", "wonderland").await.unwrap();
    fixture.htpasswd.reload().await.unwrap();
    fixture.login("bob", "pässwörd").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_invalid_or_missing_file_keeps_the_last_valid_list() {
    let fixture = Fixture::new(ALICE).await;
    fs::write(fixture.path(), "nonsense\n").unwrap();
    for _ in 0..3 {
        fixture.after_a_look().await;
        fixture.login("alice", "wonderland").await.unwrap();
    }
    assert!(matches!(fixture.htpasswd.reload().await, Err(HtpasswdError::Malformed { .. })));
    fs::remove_file(fixture.path()).unwrap();
    fixture.after_a_look().await;
    fixture.login("alice", "wonderland").await.unwrap();
    assert!(matches!(fixture.htpasswd.reload().await, Err(HtpasswdError::Read { .. })));
    assert!(!fixture.path().exists(), "a file that goes missing later is not provisioned");
    fs::write(fixture.path(), BOB).unwrap();
    fixture.after_a_look().await;
    fixture.login("bob", "pässwörd").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_check_of_an_invalid_file_logs_an_error() {
    let fixture = Fixture::new(ALICE).await;
    fs::write(fixture.path(), "nonsense\n").unwrap();
    let log = TestLog::default();
    let _guard = log.capture();
    for _ in 0..3 {
        fixture.after_a_look().await;
        fixture.login("alice", "wonderland").await.unwrap();
        fixture.login("alice", "wonderland").await.unwrap();
    }
    let text = log.text();
    assert_eq!(text.matches("keeping the last valid list of 1 users").count(), 3, "{text}");
    assert!(text.contains("line 1 has no `:`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_failed_login_is_truncated_in_the_log() {
    let fixture = Fixture::new(ALICE).await;
    let log = TestLog::default();
    let _guard = log.capture();
    fixture.login("alice", "wrong").await.unwrap_err();
    fixture.login(&"x\n".repeat(20_000), "wrong").await.unwrap_err();
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("failed login")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("user=alice "), "{text}");
    assert!(lines[1].len() < 500, "{} bytes", lines[1].len());
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_token_that_is_sent_as_the_name_is_not_logged() {
    let fixture = Fixture::new(ALICE).await;
    let (secret, log) = (TokenSecret::random(), TestLog::default());
    let _guard = log.capture();
    fixture.login(&secret.reveal(), "ci").await.unwrap_err();
    let text = log.text();
    assert!(!text.contains(&secret.reveal()[21..]), "{text}");
    assert!(text.contains(&format!("spn_{}_…", secret.id())), "{text}");
    assert!(text.contains("the secret of an access token was sent as the user name"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_pipe_in_the_place_of_the_file_delays_no_login() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let fixture = Fixture::new(ALICE).await;
    fs::remove_file(fixture.path()).unwrap();
    mknodat(CWD, fixture.path(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for _ in 0..2 {
        fixture.after_a_look().await;
        fixture.login("alice", "wonderland").await.unwrap();
    }
    let error = with_causes(&fixture.htpasswd.reload().await.unwrap_err());
    assert!(error.contains("a device, a pipe or a socket"), "{error}");
    fs::remove_file(fixture.path()).unwrap();
    fs::write(fixture.path(), BOB).unwrap();
    fixture.after_a_look().await;
    fixture.login("bob", "pässwörd").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_beyond_the_limit_is_not_read() {
    let fixture = Fixture::new(ALICE).await;
    fs::File::options().write(true).open(fixture.path()).unwrap().set_len(1 << 30).unwrap();
    fixture.after_a_look().await;
    fixture.login("alice", "wonderland").await.unwrap();
    let error = with_causes(&fixture.htpasswd.reload().await.unwrap_err());
    assert!(error.contains("longer than 16 MiB"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_is_provisioned_with_a_password_printed_once_and_not_logged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth/htpasswd");
    let log = TestLog::default();
    let guard = log.capture();
    // Not on the blocking pool, whose log this test would not capture.
    let mut output = Vec::new();
    PasswordFile::open(path.clone(), &mut output).unwrap();
    PasswordFile::open(path.clone(), &mut output).unwrap();
    drop(guard);
    let htpasswd = Htpasswd::open("Registry", path.clone(), ThrottleOptions::default()).await.unwrap();
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("htpasswd is missing, provisioning with default user"), "{text}");
    assert!(text.contains("WARN") && text.contains(r#"user="docker""#), "{text}");
    let output = String::from_utf8(output).unwrap();
    assert_eq!(output.lines().count(), 1, "{output}");
    let password = output.trim_end().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(password.len(), 44, "32 bytes in base64url");
    assert!(!text.contains(&password), "{text}");

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(fs::read_to_string(&path).unwrap().starts_with("docker:$2b$10$"));
    let fixture = Fixture { dir, htpasswd };
    assert_eq!(fixture.login("docker", &password).await.unwrap().user.as_deref(), Some("docker"));
}

#[tokio::test(start_paused = true)]
async fn an_unusable_file_at_the_start_is_an_error_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: PathBuf, realm: &'static str| Htpasswd::open(realm, path, ThrottleOptions::default());
    let broken = dir.path().join("broken");
    fs::write(&broken, "nonsense").unwrap();
    assert!(matches!(open(broken.clone(), "r").await, Err(HtpasswdError::Malformed { .. })));
    let below_a_file = open(broken.join("htpasswd"), "r").await.unwrap_err();
    assert!(with_causes(&below_a_file).contains("auth.htpasswd.path"), "{}", with_causes(&below_a_file));
    let missing = open(dir.path().join("h"), "a\nb").await.unwrap_err();
    assert!(matches!(missing, HtpasswdError::Realm(_)));
    assert!(!dir.path().join("h").exists(), "the realm is checked first");
}
