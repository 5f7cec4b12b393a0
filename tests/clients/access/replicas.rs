//! Two registries over one store with one signing key: tokens of one count at the other, and so does their end.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{TEN_SECONDS, counts_within};
use crate::cli::support::{binary, end};
use crate::clients::support::{RegistryProcess, StoreServer, filesystem_config, registry};
use crate::support::access_section;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// How often a registry that gets requests looks at the password file.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Two registries with the rules of the sample over the store of `config`.
struct Replicas {
    directory: tempfile::TempDir,
    both: [RegistryProcess; 2],
}

impl Replicas {
    #[track_caller]
    fn start(config: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let config = config(directory.path())
            + &format!("auth: {{htpasswd: {{realm: Registry, path: {}}}}}\n", path("htpasswd"))
            + access_section()
            + &format!("  tokens: {{signingkey: {}}}\n", path("signing.pem"));
        std::fs::write(path("htpasswd"), format!("carol:{}\n", bcrypt::hash("carol-password", 4).unwrap()))
            .unwrap();
        // The first one makes the key; the other must not start beside it.
        let first = registry(directory.path(), &config);
        let both = [first, registry(directory.path(), &config)];
        let replicas = Self { directory, both };
        for user in ["alice", "bob"] {
            replicas.set_password(user, &format!("{user}-password"));
        }
        replicas
    }

    #[track_caller]
    fn command(&self, arguments: &str, input: &str) -> String {
        let mut command = binary(self.directory.path());
        command.args(arguments.split_whitespace()).args(["--config", "sampan.yml"]);
        let ended = end(&mut command, input);
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
        ended.stdout.trim().to_owned()
    }

    /// Changes the common password file, and waits until both registries have read it.
    #[track_caller]
    fn set_password(&self, user: &str, password: &str) {
        self.command(&format!("user add {user}"), password);
        for replica in &self.both {
            counts_within(CHECK_INTERVAL, || ask(replica, "GET", "/v2/", &basic(user, password)).0 == 200);
        }
    }
}

/// The status of an answer, and its body.
fn ask(replica: &RegistryProcess, method: &str, path: &str, authorization: &str) -> (u16, Vec<u8>) {
    let answer = replica.wire().send(method, path, &[("Authorization", authorization)], b"");
    (answer.status, answer.body)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A bearer token that grants what the client may do in `team/app`.
#[track_caller]
fn token(replica: &RegistryProcess, login: &str) -> String {
    let (status, body) = ask(replica, "GET", "/auth/token?scope=repository:team/app:pull,push", login);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["scope"], "repository:team/app:pull,push");
    format!("Bearer {}", body["token"].as_str().unwrap())
}

/// Pushes an empty blob.
fn push(replica: &RegistryProcess, authorization: &str) -> u16 {
    ask(replica, "POST", &format!("/v2/team/app/blobs/uploads/?digest={EMPTY}"), authorization).0
}

#[track_caller]
fn what_one_issues_or_ends_counts_at_the_other(replicas: &Replicas) {
    let [one, other] = &replicas.both;
    let (alice, bob) = (basic("alice", "alice-password"), basic("bob", "bob-password"));
    let tokens = [token(one, &alice), token(other, &alice)];
    let of_bob = token(one, &bob);
    for replica in &replicas.both {
        for token in &tokens {
            assert_eq!(push(replica, token), 201);
        }
        assert_eq!(push(replica, &of_bob), 201);
    }

    // A robot whose token was issued by the one, and asked for by its secret at the other.
    let secret = replicas.command("token create ci --may push --on team/** --expires 1d", "");
    let robot = basic("ci", &secret);
    let issued = [token(one, &robot), token(other, &robot)];
    for replica in &replicas.both {
        for authorization in issued.iter().chain([&robot]) {
            assert_eq!(push(replica, authorization), 201);
        }
    }
    replicas.command(&format!("token revoke {}", secret.split('_').nth(1).unwrap()), "");
    let mut logins: Vec<_> = replicas
        .both
        .iter()
        .flat_map(|replica| issued.iter().chain([&robot]).map(move |login| (replica, login)))
        .collect();
    counts_within(TEN_SECONDS, || {
        logins.retain(|(replica, login)| match push(replica, login) {
            201 => true,
            401 => false,
            other => panic!("{other}"),
        });
        logins.is_empty()
    });

    // Another password ends the tokens of the old one at both, and no other user's.
    replicas.set_password("alice", "another-password");
    for replica in &replicas.both {
        for token in &tokens {
            assert_eq!(push(replica, token), 401);
        }
        assert_eq!(ask(replica, "GET", "/auth/token", &alice).0, 401);
        assert_eq!(push(replica, &of_bob), 201);
    }
    let token = token(other, &basic("alice", "another-password"));
    assert_eq!((push(one, &token), push(other, &token)), (201, 201));
    replicas.command("user remove alice", "");
    for replica in &replicas.both {
        counts_within(CHECK_INTERVAL, || push(replica, &token) == 401);
        assert_eq!(push(replica, &of_bob), 201);
    }
}

#[test]
#[ignore = "real processes"]
fn replicas_over_a_folder_agree_on_tokens_and_passwords() {
    let replicas = Replicas::start(|directory| filesystem_config(&directory.join("data")));
    what_one_issues_or_ends_counts_at_the_other(&replicas);
}

#[test]
#[ignore = "needs ceph, as root"]
fn replicas_over_a_bucket_agree_on_tokens_and_passwords() {
    let store = StoreServer::ceph();
    let replicas =
        Replicas::start(|_| store.config(&format!("access-{:016x}", rand::random::<u64>()), |_| {}));
    what_one_issues_or_ends_counts_at_the_other(&replicas);
}
