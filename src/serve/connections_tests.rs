//! Tests which connection yields to a new one.

use http::Version;
use tokio::time::advance;

use super::*;

fn connections(max: usize, per_network: usize) -> Arc<Connections> {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    Arc::new(Connections::new(ServeOptions {
        max_connections: max,
        max_connections_per_network: per_network,
        trusted_proxies,
        ..ServeOptions::default()
    }))
}

fn peer(address: &str) -> PeerAddress {
    PeerAddress::Tcp(format!("{address}:1").parse().unwrap())
}

/// A connection that has served a request and is resting.
async fn rested(connections: &Arc<Connections>, address: &str) -> ConnectionSlot {
    let place = connections.admit(peer(address)).await.unwrap();
    drop(place.activity().request_began(Version::HTTP_11));
    advance(Duration::from_secs(2)).await;
    place
}

async fn must_leave(place: &ConnectionSlot) -> bool {
    timeout(Duration::ZERO, place.needed()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_rested_for_longest_makes_room() {
    let connections = connections(3, 0);
    let first = rested(&connections, "192.0.2.1").await;
    let second = rested(&connections, "192.0.2.1").await;
    let third = connections.admit(peer("192.0.2.1")).await.unwrap();
    drop(first.activity().request_began(Version::HTTP_11));
    let _fourth = connections.admit(peer("192.0.2.2")).await.unwrap();
    assert!(must_leave(&second).await);
    let _fifth = connections.admit(peer("192.0.2.2")).await.unwrap();
    assert!(must_leave(&first).await, "of two equally rested the older one");
    assert_eq!(connections.open(), 5, "two are leaving");
    drop((second, third));
    assert_eq!(connections.open(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_work_is_never_told_to_leave() {
    let connections = connections(2, 0);
    let working = connections.admit(peer("192.0.2.1")).await.unwrap();
    let request = working.activity().request_began(Version::HTTP_11);
    let blocked = rested(&connections, "192.0.2.1").await;
    blocked.activity().write_blocked();
    let waiting = timeout(Duration::from_secs(60), connections.admit(peer("192.0.2.2"))).await;
    assert!(waiting.is_err(), "it must wait");
    assert!(!must_leave(&working).await && !must_leave(&blocked).await);
    drop(request);
    let newcomer = timeout(Duration::from_secs(1), connections.admit(peer("192.0.2.2"))).await;
    assert!(newcomer.is_ok(), "another one is resting now");
    assert!(must_leave(&working).await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_works_again_stays_and_the_next_one_yields() {
    let connections = connections(2, 0);
    let first = rested(&connections, "192.0.2.1").await;
    let second = rested(&connections, "192.0.2.1").await;
    let third = rested(&connections, "192.0.2.1").await;
    assert!(must_leave(&first).await);
    let _request = first.activity().request_began(Version::HTTP_11);
    first.stay();
    first.stay();
    assert_eq!(connections.table().open.len(), 3);
    assert_eq!(connections.table().leaving, 0);
    let fourth = connections.admit(peer("192.0.2.1")).await.unwrap();
    assert!(must_leave(&second).await && must_leave(&third).await);
    drop((first, second, third, fourth));
    assert_eq!(connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_address_cannot_exceed_its_share() {
    let connections = connections(100, 2);
    let resting = rested(&connections, "192.0.2.1").await;
    let working = connections.admit(peer("192.0.2.1")).await.unwrap();
    let _request = working.activity().request_began(Version::HTTP_11);
    let third = connections.admit(peer("192.0.2.1")).await.unwrap();
    assert!(must_leave(&resting).await, "its own resting one first");
    let _request = third.activity().request_began(Version::HTTP_11);
    advance(SEARCH_AGAIN_AFTER).await;
    assert!(connections.admit(peer("192.0.2.1")).await.is_none(), "all are working");
    assert!(connections.admit(peer("192.0.2.2")).await.is_some());
    drop(third);
    assert!(connections.admit(peer("192.0.2.1")).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_counts_as_one_address_and_proxies_do_not_count() {
    let connections = connections(100, 1);
    let place = connections.admit(peer("[2001:db8:1:2::1]")).await.unwrap();
    let _request = place.activity().request_began(Version::HTTP_11);
    assert!(connections.admit(peer("[2001:db8:1:2:3::9]")).await.is_none());
    assert!(connections.admit(peer("[2001:db8:1:3::1]")).await.is_some());
    let mut places = Vec::new();
    for peer in [peer("10.1.2.3"), peer("10.1.2.3"), PeerAddress::Unix, PeerAddress::Unix] {
        let place = connections.admit(peer).await.unwrap();
        let request = place.activity().request_began(Version::HTTP_11);
        places.push((place, request));
    }
}

#[tokio::test(start_paused = true)]
async fn few_connections_are_leaving_at_a_time() {
    let connections = connections(1, 0);
    let mut places = vec![connections.admit(peer("192.0.2.1")).await.unwrap()];
    for _ in 0..MAX_CLOSING {
        places.push(connections.admit(peer("192.0.2.1")).await.unwrap());
    }
    let waiting = timeout(Duration::from_secs(60), connections.admit(peer("192.0.2.1"))).await;
    assert!(waiting.is_err(), "the leaving ones end first");
    drop(places.remove(0));
    assert!(connections.admit(peer("192.0.2.1")).await.is_some());
}
