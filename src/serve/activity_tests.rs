//! Tests of each row of the table in the module's documentation.

use tokio::time::advance;

use super::*;

const MIN_SPEED: u64 = 1024;

fn options() -> ServeOptions {
    ServeOptions {
        header_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(120),
        stall_timeout: Duration::from_secs(60),
        ..ServeOptions::default()
    }
}

/// Lets time pass while the connection's task looks as often as it must.
async fn pass(activity: &Activity, mut time: Duration) {
    while !time.is_zero() {
        let step = time.min(Duration::from_secs(1));
        activity.next_check(&options());
        advance(step).await;
        time -= step;
    }
}

/// Checks just before `seconds` have passed, when no deadline may have expired, and just after.
async fn after(activity: &Activity, seconds: u64) -> NextCheck {
    pass(activity, Duration::from_secs(seconds) - Duration::from_millis(1)).await;
    assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)), "too early");
    advance(Duration::from_millis(1)).await;
    activity.next_check(&options())
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_cut() {
    assert_eq!(after(&Activity::new(MIN_SPEED), 20).await, NextCheck::Cut(CutReason::NoRequest));
}

#[tokio::test(start_paused = true)]
async fn slow_headers_are_timed_from_their_first_byte() {
    let activity = Activity::new(MIN_SPEED);
    advance(Duration::from_secs(15)).await;
    activity.read_some(b'G');
    advance(Duration::from_secs(10)).await;
    activity.read_some(b'G');
    assert_eq!(after(&activity, 10).await, NextCheck::Cut(CutReason::SlowHead));
}

#[tokio::test(start_paused = true)]
async fn slow_headers_of_a_second_request_are_cut_too() {
    let activity = Activity::new(MIN_SPEED);
    activity.read_some(b'G');
    drop(activity.request_began(Version::HTTP_11));
    advance(Duration::from_secs(100)).await;
    activity.read_some(b'G');
    assert_eq!(after(&activity, 20).await, NextCheck::Cut(CutReason::SlowHead));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_is_closed_after_the_idle_timeout() {
    let activity = Activity::new(MIN_SPEED);
    activity.read_some(b'G');
    drop(activity.request_began(Version::HTTP_11));
    assert_eq!(after(&activity, 120).await, NextCheck::Idle);
}

#[tokio::test(start_paused = true)]
async fn pings_of_an_idle_http2_connection_are_neither_headers_nor_a_response() {
    let activity = Activity::new(MIN_SPEED);
    activity.handshake_done(Version::HTTP_2);
    drop(activity.request_began(Version::HTTP_2));
    for _ in 0..119 {
        advance(Duration::from_secs(1)).await;
        activity.read_some(b'G');
        activity.wrote_some(17);
    }
    advance(Duration::from_secs(4)).await;
    assert_eq!(activity.next_check(&options()), NextCheck::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_no_timeout() {
    let activity = Activity::new(MIN_SPEED);
    let _request = activity.request_began(Version::HTTP_11);
    advance(Duration::from_secs(24 * 3600)).await;
    assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)));
}

/// Simulates a client that accepts `bytes` every `seconds`, for at most an hour; returns when it is cut.
async fn taking(bytes: usize, seconds: u64) -> Option<u64> {
    let (activity, begun) = (Activity::new(MIN_SPEED), Instant::now());
    let _request = activity.request_began(Version::HTTP_11);
    while begun.elapsed() < Duration::from_secs(3600) {
        activity.write_blocked();
        for _ in 0..seconds {
            advance(Duration::from_secs(1)).await;
            activity.write_blocked();
            if activity.next_check(&options()) == NextCheck::Cut(CutReason::Stalled) {
                return Some(begun.elapsed().as_secs());
            }
        }
        activity.wrote_some(bytes);
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_client_below_the_minimum_speed_is_cut_and_one_above_is_not() {
    assert_eq!(taking(0, 1).await, Some(60));
    assert!(matches!(taking(1, 1).await, Some(60..=61)), "a byte at a time");
    assert!(matches!(taking(1, 59).await, Some(60..=61)), "a byte a minute");
    assert!(matches!(taking(512, 1).await, Some(118..=121)), "half of the minimum speed");
    assert_eq!(taking(1100, 1).await, None);
    assert_eq!(taking(55 * 1100, 55).await, None, "in bursts");
}

#[tokio::test(start_paused = true)]
async fn a_handler_between_two_writes_does_not_count_against_the_client() {
    let activity = Activity::new(MIN_SPEED);
    let _request = activity.request_began(Version::HTTP_11);
    for _ in 0..10 {
        activity.write_blocked();
        pass(&activity, Duration::from_secs(20)).await;
        activity.wrote_some(20 * 1024);
        pass(&activity, Duration::from_secs(3600)).await;
        assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)));
    }
    activity.write_blocked();
    activity.write_blocked();
    assert_eq!(after(&activity, 60).await, NextCheck::Cut(CutReason::Stalled));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_still_being_sent_is_not_idle() {
    let activity = Activity::new(MIN_SPEED);
    drop(activity.request_began(Version::HTTP_11));
    for _ in 0..100 {
        pass(&activity, Duration::from_secs(59)).await;
        activity.wrote_some(59 * 1024);
        assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)));
        assert_eq!(activity.resting_since(), Some(Instant::now()));
    }
    assert_eq!(after(&activity, 120).await, NextCheck::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_only_when_its_response_is_complete() {
    let activity = Activity::new(MIN_SPEED);
    let begun = Instant::now();
    advance(Duration::from_secs(5)).await;
    assert_eq!(activity.resting_since(), Some(begun), "without a request");
    let request = activity.request_began(Version::HTTP_2);
    assert_eq!(activity.resting_since(), None);
    drop(request);
    assert_eq!(activity.resting_since(), None, "HTTP/2 may still hold the end of the response");
    let ended = Instant::now();
    activity.write_blocked();
    advance(Duration::from_secs(5)).await;
    assert_eq!(activity.resting_since(), None, "a write is pending");
    activity.wrote_some(1024);
    assert_eq!(activity.resting_since(), Some(ended + Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_streams_stops_while_writes_block() {
    let activity = Activity::new(MIN_SPEED);
    let begun = activity.time_unblocked();
    advance(Duration::from_secs(5)).await;
    activity.write_blocked();
    advance(Duration::from_secs(7)).await;
    assert_eq!(activity.time_unblocked() - begun, Duration::from_secs(5));
    activity.wrote_some(1);
    advance(Duration::from_secs(3)).await;
    assert_eq!(activity.time_unblocked() - begun, Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn a_closing_connection_with_nothing_in_flight_is_cut_soon() {
    let activity = Activity::new(MIN_SPEED);
    let request = activity.request_began(Version::HTTP_11);
    activity.closing();
    advance(Duration::from_secs(1000)).await;
    assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)));
    drop(request);
    assert_eq!(after(&activity, 5).await, NextCheck::Cut(CutReason::Lingering));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_not_headers() {
    let activity = Activity::new(MIN_SPEED);
    activity.read_some(b'G');
    advance(Duration::from_secs(9)).await;
    assert!(!activity.is_unused());
    activity.handshake_done(Version::HTTP_11);
    assert!(activity.is_unused());
    assert_eq!(after(&activity, 20).await, NextCheck::Cut(CutReason::NoRequest));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_charges_no_client_and_keeps_its_connections() {
    let reading = Activity::new(MIN_SPEED);
    let _request = reading.request_began(Version::HTTP_11);
    reading.write_blocked();
    pass(&reading, Duration::from_secs(55)).await;
    let sending = Activity::new(MIN_SPEED);
    sending.read_some(b'G');
    let kept = Activity::new(MIN_SPEED);
    drop(kept.request_began(Version::HTTP_11));
    for activity in [&sending, &kept] {
        activity.next_check(&options());
    }
    for stop in [60, 65, 75, 100_000] {
        // The check may be the first to run afterwards, or the socket.
        advance(Duration::from_secs(stop)).await;
        for activity in [&reading, &sending, &kept] {
            assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)), "{stop}");
        }
        advance(Duration::from_secs(stop)).await;
        reading.wrote_some(1);
        reading.write_blocked();
        assert!(matches!(reading.next_check(&options()), NextCheck::Again(_)), "{stop}");
        for activity in [&sending, &kept] {
            assert!(matches!(activity.next_check(&options()), NextCheck::Again(_)), "{stop}");
        }
    }
    for (activity, verdict) in [
        (&reading, NextCheck::Cut(CutReason::Stalled)),
        (&sending, NextCheck::Cut(CutReason::SlowHead)),
        (&kept, NextCheck::Idle),
    ] {
        pass(activity, Duration::from_secs(121)).await;
        assert_eq!(activity.next_check(&options()), verdict, "a client that does nothing");
    }
}
