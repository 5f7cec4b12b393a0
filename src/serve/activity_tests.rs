//! Every row of the table in the module's documentation.

use tokio::time::advance;

use super::*;

fn options() -> ServeOptions {
    ServeOptions {
        header_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(120),
        stall_timeout: Duration::from_secs(60),
        ..ServeOptions::default()
    }
}

/// Looks just before `seconds` have passed, when all must be well, and just after.
async fn after(activity: &Activity, seconds: u64) -> Look {
    advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
    assert!(matches!(activity.look(&options()), Look::Again(_)), "too early");
    advance(Duration::from_millis(1)).await;
    activity.look(&options())
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_cut() {
    assert_eq!(after(&Activity::new(), 20).await, Look::Cut(Reason::NoRequest));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_cut_from_its_first_byte_on() {
    let activity = Activity::new();
    advance(Duration::from_secs(15)).await;
    activity.read_some(b'G');
    advance(Duration::from_secs(10)).await;
    activity.read_some(b'G');
    assert_eq!(after(&activity, 10).await, Look::Cut(Reason::SlowHead));
}

#[tokio::test(start_paused = true)]
async fn a_second_head_that_drips_is_cut_too() {
    let activity = Activity::new();
    activity.read_some(b'G');
    drop(activity.request_began(Version::HTTP_11));
    advance(Duration::from_secs(100)).await;
    activity.read_some(b'G');
    assert_eq!(after(&activity, 20).await, Look::Cut(Reason::SlowHead));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_is_closed_after_the_idle_timeout() {
    let activity = Activity::new();
    activity.read_some(b'G');
    drop(activity.request_began(Version::HTTP_11));
    assert_eq!(after(&activity, 120).await, Look::Idle);
}

#[tokio::test(start_paused = true)]
async fn pings_of_an_idle_http2_connection_are_no_head() {
    let activity = Activity::new();
    activity.handshake_done(Version::HTTP_2);
    drop(activity.request_began(Version::HTTP_2));
    advance(Duration::from_secs(60)).await;
    activity.read_some(b'G');
    assert_eq!(after(&activity, 60).await, Look::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_all_the_time_it_wants() {
    let activity = Activity::new();
    let _request = activity.request_began(Version::HTTP_11);
    advance(Duration::from_secs(24 * 3600)).await;
    assert!(matches!(activity.look(&options()), Look::Again(_)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_and_one_that_takes_little_is_not() {
    let activity = Activity::new();
    let _request = activity.request_began(Version::HTTP_11);
    for _ in 0..100 {
        activity.write_blocked();
        advance(Duration::from_secs(59)).await;
        assert!(matches!(activity.look(&options()), Look::Again(_)));
        activity.wrote_some();
    }
    activity.write_blocked();
    activity.write_blocked();
    assert_eq!(after(&activity, 60).await, Look::Cut(Reason::Stalled));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_still_being_sent_is_not_idle() {
    let activity = Activity::new();
    drop(activity.request_began(Version::HTTP_11));
    for _ in 0..100 {
        advance(Duration::from_secs(59)).await;
        activity.wrote_some();
        assert!(matches!(activity.look(&options()), Look::Again(_)));
    }
    assert_eq!(after(&activity, 120).await, Look::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_opens_no_window_is_cut() {
    let activity = Activity::new();
    let _request = activity.request_began(Version::HTTP_2);
    activity.frame_handed_over();
    advance(Duration::from_secs(59)).await;
    activity.frame_taken();
    advance(Duration::from_secs(1000)).await;
    assert!(matches!(activity.look(&options()), Look::Again(_)), "the handler is waited for");
    activity.frame_handed_over();
    assert_eq!(after(&activity, 60).await, Look::Cut(Reason::Stalled));
}

#[tokio::test(start_paused = true)]
async fn a_closing_connection_with_nothing_in_flight_is_cut_soon() {
    let activity = Activity::new();
    let request = activity.request_began(Version::HTTP_11);
    activity.closing();
    advance(Duration::from_secs(1000)).await;
    assert!(matches!(activity.look(&options()), Look::Again(_)));
    drop(request);
    assert_eq!(after(&activity, 5).await, Look::Cut(Reason::Lingering));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_not_a_head() {
    let activity = Activity::new();
    activity.read_some(b'G');
    advance(Duration::from_secs(9)).await;
    assert!(!activity.is_unused());
    activity.handshake_done(Version::HTTP_11);
    assert!(activity.is_unused());
    assert_eq!(after(&activity, 20).await, Look::Cut(Reason::NoRequest));
}
