//! Many clients push with passwords while as many send wrong ones, and one pulls without a login.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sampan_engine::oci::Digest;
use serde_json::Value;

use super::{TEN_SECONDS, counts_within};
use crate::cli::support::{binary, end};
use crate::clients::support::{Answer, Wire, filesystem_config, registry};
use crate::support::access_section;

/// The number of clients with passwords, and of those with wrong ones.
fn clients() -> usize {
    std::env::var("SAMPAN_LOGIN_CLIENTS").map_or(20, |text| text.parse().unwrap())
}

/// The rounds of three measurements.
const ROUNDS: usize = 4;

/// The time of a measurement for each client, and at least.
const WINDOW_PER_CLIENT: Duration = Duration::from_millis(40);
const MIN_WINDOW: Duration = Duration::from_secs(2);

/// The pause of a client before each push or guess, for each client: all of them make forty a second of each, more
/// guesses than a core can compare.
const PAUSE_PER_CLIENT: Duration = Duration::from_millis(25);

/// The clients of a registry.
struct Crowd {
    registry: SocketAddr,
    /// A client holds its lock for reading while it works; a measurement without it holds it for writing.
    pushers: RwLock<()>,
    guessers: RwLock<()>,
    over: AtomicBool,
    pushes: AtomicUsize,
    waits: AtomicUsize,
    wrong: AtomicUsize,
    refused: AtomicUsize,
    late: AtomicUsize,
}

/// A client at an address of its own, as a proxy on this machine tells it.
struct Client<'a> {
    crowd: &'a Crowd,
    address: String,
}

impl Client<'_> {
    fn send(&self, method: &str, path: &str, authorization: Option<&str>, body: &[u8]) -> Answer {
        let mut headers = vec![("X-Forwarded-For", self.address.as_str())];
        headers.extend(authorization.map(|authorization| ("Authorization", authorization)));
        Wire::connect(self.crowd.registry).send(method, path, &headers, body)
    }

    /// The same, which comes back when the registry asks to.
    fn insist(&self, method: &str, path: &str, authorization: &str, body: &[u8]) -> Answer {
        loop {
            let answer = self.send(method, path, Some(authorization), body);
            if !matches!(answer.status, 429 | 503) {
                return answer;
            }
            self.crowd.waits.fetch_add(1, Ordering::Relaxed);
            let seconds = answer.header("retry-after").expect("a time to come back").parse().unwrap();
            thread::sleep(Duration::from_secs(seconds));
        }
    }

    /// A bearer token for pushes to `repository`.
    fn token(&self, login: &str, repository: &str) -> String {
        let path = format!("/auth/token?scope=repository:{repository}:pull,push");
        let answer = self.insist("GET", &path, login, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        format!("Bearer {}", body["token"].as_str().unwrap())
    }
}

impl Crowd {
    fn client(&self, group: u8, number: usize) -> Client<'_> {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        Client { crowd: self, address: Ipv4Addr::new(10, group, high, low).to_string() }
    }

    /// Logs in, and pushes a blob, again and again.
    fn push(&self, number: usize) {
        let client = self.client(1, number);
        let (login, repository) = (basic(&user(number), "password"), format!("home/{}/app", user(number)));
        for round in 0.. {
            let Some(_turn) = self.turn(&self.pushers) else { return };
            let token = client.token(&login, &repository);
            let content = format!("{number} {round}");
            let digest = Digest::sha256_of(content.as_bytes());
            let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
            let answer = client.insist("POST", &path, &token, content.as_bytes());
            assert_eq!(answer.status, 201, "{answer:?}");
            self.pushes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Guesses passwords of a user that there is.
    fn guess(&self, number: usize) {
        let client = self.client(2, number);
        for round in 0.. {
            let Some(_turn) = self.turn(&self.guessers) else { return };
            let login = basic(&user(number), &format!("wrong-{round}"));
            let answer = client.send("GET", "/auth/token", Some(&login), b"");
            let counter = match answer.status {
                401 => &self.wrong,
                429 => &self.refused,
                // Not compared in time.
                503 => &self.late,
                _ => panic!("a wrong password: {answer:?}"),
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A turn to work, after a pause; nothing when all is over.
    fn turn<'a>(&self, lock: &'a RwLock<()>) -> Option<RwLockReadGuard<'a, ()>> {
        thread::sleep(for_each_client(PAUSE_PER_CLIENT));
        let turn = lock.read().unwrap();
        (!self.over.load(Ordering::Relaxed)).then_some(turn)
    }

    /// Pulls a second: alone, beside pushes, and beside pushes and wrong passwords.
    fn measure(&self, path: &str) -> [f64; 3] {
        // Those that guess first: what they have begun is in the way of the others.
        let guessers = self.guessers.write().unwrap();
        let pushers = self.pushers.write().unwrap();
        let alone = self.pulls(path);
        drop(pushers);
        let beside_pushes = self.pulls(path);
        drop(guessers);
        [alone, beside_pushes, self.pulls(path)]
    }

    /// Pulls without a login for a while, one request after the other: how many a second.
    fn pulls(&self, path: &str) -> f64 {
        let window = MIN_WINDOW.max(for_each_client(WINDOW_PER_CLIENT));
        let mut wire = Wire::connect(self.registry);
        let (begun, mut pulls) = (Instant::now(), 0);
        while begun.elapsed() < window {
            let answer = wire.send("GET", path, &[("X-Forwarded-For", "10.3.0.1")], b"");
            assert_eq!(answer.status, 200, "{answer:?}");
            pulls += 1;
        }
        f64::from(pulls) / begun.elapsed().as_secs_f64()
    }
}

fn for_each_client(time: Duration) -> Duration {
    time * u32::try_from(clients()).unwrap()
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
#[ignore = "hundreds of clients of a real process"]
fn wrong_passwords_keep_no_client_from_pushing() {
    let directory = tempfile::tempdir().unwrap();
    let htpasswd = directory.path().join("htpasswd");
    // The cost is that of `registry user add`.
    let users =
        (0..clients()).map(|number| format!("{}:{}\n", user(number), bcrypt::hash("password", 10).unwrap()));
    let carol = format!("carol:{}\n", bcrypt::hash("password", 4).unwrap());
    std::fs::write(&htpasswd, users.collect::<String>() + &carol).unwrap();
    let config = filesystem_config(&directory.path().join("data"))
        .replace("'127.0.0.1:0'", "'127.0.0.1:0', trustedproxies: [127.0.0.1]")
        + &format!("auth: {{htpasswd: {{realm: Registry, path: {}}}}}\n", htpasswd.display())
        + access_section();
    let process = registry(directory.path(), &config);
    let crowd = Crowd {
        registry: process.address,
        pushers: RwLock::default(),
        guessers: RwLock::default(),
        over: AtomicBool::default(),
        pushes: AtomicUsize::default(),
        waits: AtomicUsize::default(),
        wrong: AtomicUsize::default(),
        refused: AtomicUsize::default(),
        late: AtomicUsize::default(),
    };
    let owner = crowd.client(4, 0);
    let blob = b"a public blob";
    let path =
        |repository: &str| format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::sha256_of(blob));
    let pushed = owner.send("POST", &path("public/app"), Some(&basic("carol", "password")), blob);
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let pull = format!("/v2/public/app/blobs/{}", Digest::sha256_of(blob));

    let command = |arguments: &str| {
        let mut command = binary(directory.path());
        let ended = end(command.args(arguments.split(' ')).args(["--config", "sampan.yml"]), "");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.trim().to_owned()
    };
    let secret = command("token create ci --may push --on team/** --expires 1d");
    let robot = basic("ci", &secret);
    let robots = [owner.token(&robot, "team/app"), robot];
    let robot_pushes = |login: &String| owner.send("POST", &path("team/app"), Some(login), blob).status;

    let mut rates: [Vec<f64>; 3] = Default::default();
    let crowd = &crowd;
    thread::scope(|scope| {
        let _end = End(crowd);
        for number in 0..clients() {
            scope.spawn(move || crowd.push(number));
            scope.spawn(move || crowd.guess(number));
        }
        for _ in 0..ROUNDS {
            let of_round = crowd.measure(&pull);
            rates.iter_mut().zip(of_round).for_each(|(rates, rate)| rates.push(rate));
        }
        // All are at work. Each of them has pushed, however slow the machine is.
        while crowd.pushes.load(Ordering::Relaxed) < clients() {
            crowd.pulls(&pull);
        }
        assert!(robots.iter().all(|login| robot_pushes(login) == 201));
        command(&format!("token revoke {}", secret.split('_').nth(1).unwrap()));
        counts_within(TEN_SECONDS, || robots.iter().all(|login| robot_pushes(login) == 401));
    });
    let [alone, pushes, both] = rates.map(median);
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    assert!(count(&crowd.wrong) > 0);
    writeln!(
        std::io::stderr(),
        "pulls of a client without a login, with {} clients of each kind: {alone:.0}/s alone, {pushes:.0}/s beside pushes \
         ({:.2}), {both:.0}/s beside pushes and wrong passwords ({:.2} of that); {} pushes, {} waits, {} wrong logins compared, \
         {} refused, {} too late",
        clients(),
        pushes / alone,
        both / pushes,
        count(&crowd.pushes),
        count(&crowd.waits),
        count(&crowd.wrong),
        count(&crowd.refused),
        count(&crowd.late)
    )
    .unwrap();
}

/// Ends the work of all clients when it is dropped.
struct End<'a>(&'a Crowd);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
