//! Requests that wait for an upstream are served in turn by client.

use std::net::IpAddr;
use std::pin::pin;

use futures::FutureExt;
use futures::future::join_all;
use sampan::http::{HttpOptions, TrustedProxies};
use sampan::serve::{Peer, PeerAddress, Scheme};
use sampan_engine::oci::Digest;

use super::support::World;
use crate::support::Answer;
use crate::support::hostile_server::Gate;

const GREEDY: &str = "192.0.2.1";
const OTHER: &str = "192.0.2.2";
const MANY: usize = 20;

/// A world with one connection to the upstream, which a gate opens.
struct Crowd {
    world: World,
    gate: Gate,
}

impl Crowd {
    async fn new() -> Self {
        let options = HttpOptions {
            trusted_proxies: TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], unix: false },
            ..HttpOptions::default()
        };
        let world = World::with(|upstream, setup| {
            upstream.connections = 1;
            setup.options = options;
        });
        let (world, gate) = (world.await, Gate::new());
        let held = gate.clone();
        world.upstream.script(move |_, reply| reply.behind(&held));
        Self { world, gate }
    }

    fn waiting(&self) -> usize {
        self.world.caches.upstreams()[0].waiting()
    }

    /// Waits until so many requests wait for the connection.
    async fn wait_for(&self, waiting: usize) {
        while self.waiting() < waiting {
            tokio::task::yield_now().await;
        }
    }

    async fn get(&self, client: &str, path: &str) -> Answer {
        let peer = Peer {
            address: PeerAddress::Tcp((client.parse::<IpAddr>().unwrap(), 1).into()),
            scheme: Scheme::Http,
            client_certificate: None,
        };
        self.world.server.call("GET", path).extension(peer).send().await
    }

    /// The same through a proxy that is trusted.
    async fn get_through_proxy(&self, client: &str, path: &str) -> Answer {
        let peer = Peer {
            address: PeerAddress::Tcp(([10, 0, 0, 1], 1).into()),
            scheme: Scheme::Http,
            client_certificate: None,
        };
        self.world.server.call("GET", path).header("x-forwarded-for", client).extension(peer).send().await
    }

    /// Lets the upstream answer until all has been served, and returns the requests there in their order.
    async fn serve(&self, requests: usize) -> Vec<String> {
        for number in 0..requests {
            self.gate.wait_for(number + 1).await;
            self.gate.open(1);
        }
        self.world.settle().await;
        self.world.upstream.requests()
    }

    fn blobs(&self) -> Vec<Digest> {
        (0..MANY).map(|number| self.world.upstream.blob("app", format!("blob {number}"))).collect()
    }
}

fn path(blob: &Digest) -> String {
    format!("/v2/up/app/blobs/{blob}")
}

/// Fails if the requests of all clients are served in one order: then it is the last.
#[tokio::test]
async fn a_client_with_one_blob_does_not_wait_for_all_of_another_client() {
    for behind_proxy in [false, true] {
        let crowd = Crowd::new().await;
        let blobs = crowd.blobs();
        let wanted = crowd.world.upstream.blob("app", "wanted");
        let get = |client, path: String| {
            let crowd = &crowd;
            async move {
                match behind_proxy {
                    true => crowd.get_through_proxy(client, &path).await,
                    false => crowd.get(client, &path).await,
                }
            }
        };
        let greedy = join_all(blobs.iter().map(|blob| get(GREEDY, path(blob))));
        let other = async {
            crowd.wait_for(MANY - 1).await;
            get(OTHER, path(&wanted)).await
        };
        let served = async {
            crowd.wait_for(MANY).await;
            crowd.serve(MANY + 1).await
        };
        let (answers, answer, served) = futures::join!(greedy, other, served);
        answers.into_iter().chain([answer]).for_each(|answer| _ = answer.expect(200));
        let at = served.iter().position(|seen| seen.contains(&wanted.to_string())).unwrap();
        assert!((1..=2).contains(&at), "it was number {at} of {served:?}");
    }
}

/// Fails if a client that joins the transfer of another one waits in the other's turn.
#[tokio::test]
async fn a_client_that_wants_the_same_blob_waits_in_its_own_turn() {
    let crowd = Crowd::new().await;
    let blobs = crowd.blobs();
    let last = blobs.last().unwrap();
    let greedy = join_all(blobs.iter().map(|blob| async { crowd.get(GREEDY, &path(blob)).await }));
    let served = async {
        crowd.wait_for(MANY - 1).await;
        let path = path(last);
        let mut other = pin!(crowd.get(OTHER, &path));
        // It joins at once, and then only waits.
        while crowd.world.caches.fills().statistics().joined < 1 {
            assert!((&mut other).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        let (answer, served) = futures::join!(other, crowd.serve(MANY));
        answer.expect(200);
        served
    };
    let (answers, served) = futures::join!(greedy, served);
    answers.into_iter().for_each(|answer| _ = answer.expect(200));
    let at = served.iter().position(|seen| seen.contains(&last.to_string())).unwrap();
    assert!((1..=2).contains(&at), "it was number {at} of {served:?}");
}

/// The same for what is asked without a transfer.
#[tokio::test]
async fn manifests_and_lists_are_served_in_turn_too() {
    let crowd = Crowd::new().await;
    let greedy: Vec<_> = (0..MANY).map(|number| format!("/v2/up/app{number}/tags/list")).collect();
    let greedy_calls = join_all(greedy.iter().map(|path| crowd.get(GREEDY, path)));
    let joined = &greedy[MANY - 1];
    let served = async {
        crowd.wait_for(MANY - 1).await;
        let wanted = crowd.get(OTHER, "/v2/up/wanted/manifests/absent");
        // A third client joins the last request.
        let joined = crowd.get("192.0.2.3", joined);
        let (mut wanted, mut joined) = (pin!(wanted), pin!(joined));
        while crowd.waiting() < MANY {
            assert!((&mut wanted).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert!((&mut joined).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        let (wanted, joined, served) = futures::join!(wanted, joined, crowd.serve(MANY + 1));
        wanted.expect(404);
        joined.expect(404);
        served
    };
    let (_, served) = futures::join!(greedy_calls, served);
    let at = |part: &str| served.iter().position(|seen| seen.contains(part)).unwrap();
    assert!(at("wanted") <= 3 && at(&format!("app{}/", MANY - 1)) <= 3, "{served:?}");
}
