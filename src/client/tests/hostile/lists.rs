//! Lists in pages, and servers that never end one.

use sampan_client::{ClientOptions, Limits, Problem};

use crate::server::{Reply, Server};
use crate::support::{Waits, options, registry, repository};

fn number(target: &str) -> u32 {
    target.rsplit_once("last=").map_or(0, |(_, last)| last.parse().unwrap())
}

#[tokio::test]
async fn all_pages_are_read() {
    for absolute in [false, true] {
        let server = Server::start(move |seen| {
            let page = number(&seen.target);
            let host =
                if absolute { format!("http://{}", seen.header("host").unwrap()) } else { String::new() };
            let reply = Reply::new(200).json(&format!(r#"{{"tags":["t{page}","same"]}}"#));
            match page {
                0..4 => reply.header(
                    "Link",
                    format!("<{host}/v2/team/app/tags/list?n=1000&last={}>; rel=\"next\"", page + 1),
                ),
                _ => reply,
            }
        })
        .await;
        let tags = repository(&server, options(&Waits::default())).tags().await.unwrap().unwrap();
        let tags: Vec<_> = tags.iter().map(|tag| tag.as_str()).collect();
        assert_eq!(tags, ["same", "t0", "t1", "t2", "t3", "t4"]);
    }
}

#[tokio::test]
async fn a_list_may_be_missing_or_empty() {
    let server = Server::start(|seen| match seen.path() {
        "/v2/_catalog" => Reply::new(404),
        _ => Reply::new(200).json(r#"{"name":"x","tags":null}"#),
    })
    .await;
    let registry = registry(&server, options(&Waits::default()));
    assert!(registry.repositories().await.unwrap().is_none());
    assert!(registry.repository("a".parse().unwrap()).tags().await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn names_that_are_none_are_left_out() {
    let server = Server::start(|seen| match seen.path() {
        "/v2/_catalog" => {
            Reply::new(200).json(r#"{"repositories":["b","../etc","a\u001b[2J","A","a/b","b"]}"#)
        }
        _ => Reply::new(200).json(r#"{"tags":["ok",".no","\u001b[31m","a/b"]}"#),
    })
    .await;
    let registry = registry(&server, options(&Waits::default()));
    let names: Vec<_> =
        registry.repositories().await.unwrap().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a/b", "b"]);
    assert_eq!(registry.repository("a".parse().unwrap()).tags().await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn hostile_lists_end_with_an_error() {
    type Handler = Box<dyn Fn(u32) -> Reply + Send + Sync>;
    let page = || Reply::new(200).json(r#"{"tags":["a"]}"#);
    let next = |reply: Reply, target: &str| reply.header("Link", format!("<{target}>; rel=next"));
    let cases: Vec<(Handler, &str)> = vec![
        (Box::new(move |_| next(page(), "?n=1000")), "form a circle"),
        (Box::new(move |n| next(page(), &format!("?last={}", (n + 1) % 3 + 1))), "form a circle"),
        (
            Box::new(move |n| next(page(), &format!("?last={}", n + 1))),
            "number of pages exceeds the limit of 20",
        ),
        (Box::new(move |_| next(page(), "http://169.254.169.254/x")), "must not continue on another server"),
        (Box::new(move |_| next(page(), "http://localhost:1/x")), "must not continue on another server"),
        (Box::new(move |_| next(page(), "http://[")), "no URL"),
        (
            Box::new(|_| Reply::new(200).body(vec![b' '; 10_001])),
            "a list, in bytes, exceeds the limit of 10000",
        ),
        (
            Box::new(move |n| {
                let padding = " ".repeat(9000);
                next(Reply::new(200).body(format!("{{\"tags\":[]}}{padding}")), &format!("?last={}", n + 1))
            }),
            "a list, in bytes, exceeds",
        ),
        (Box::new(|_| Reply::new(200).json("[1")), "no list"),
        (Box::new(|_| Reply::new(200).body("[".repeat(5000))), "no list"),
        // Of a captive portal, which answers everything with 200.
        (Box::new(|_| Reply::new(200).json(r#"{"login":"here"}"#)), "no list: no `tags`"),
        (Box::new(|_| Reply::new(200).body("<html>")), "no list"),
    ];
    for (handler, reason) in cases {
        let server = Server::start(move |seen| handler(number(&seen.target))).await;
        let limits = Limits { pages: 20, page_bytes: 10_000, list_bytes: 50_000, ..Limits::default() };
        let options = ClientOptions { limits, ..options(&Waits::default()) };
        let error = repository(&server, options).tags().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[tokio::test]
async fn a_list_that_goes_on_is_never_taken_for_a_whole_one() {
    let page = || Reply::new(200).json(r#"{"tags":["a"]}"#);
    let long = format!("<?last=1&x={}>; rel=next", "x".repeat(20_000));
    for (link, reason) in
        [(long.as_str(), "`link` is longer than 16384 bytes"), ("<?last=ä>; rel=next", "ASCII")]
    {
        let reply = page().header("Link", link);
        let server = Server::start(move |_| reply.clone()).await;
        let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let server = Server::start(move |seen| match number(&seen.target) {
        0 => page().header("Link", "<?last=0>; rel=first").header("Link", "<?last=1>; rel=next"),
        _ => Reply::new(200).json(r#"{"tags":["b"]}"#),
    })
    .await;
    let tags = repository(&server, options(&Waits::default())).tags().await.unwrap().unwrap();
    assert_eq!(tags.len(), 2);
}

#[tokio::test]
async fn entries_have_a_limit_and_empty_ones_take_no_memory() {
    let list =
        |entries: &[String]| format!(r#"{{"name":"x","tags":["{}"],"more":[1]}}"#, entries.join("\",\""));
    let names = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let limits = Limits { list_entries: 100, ..Limits::default() };
    for (entries, is_accepted) in
        [(names(100), true), (names(101), false), (vec![String::new(); 10_000], true)]
    {
        let body = list(&entries);
        let server = Server::start(move |_| Reply::new(200).json(&body)).await;
        let options = ClientOptions { limits, ..options(&Waits::default()) };
        match repository(&server, options).tags().await {
            Ok(_) => assert!(is_accepted),
            Err(error) => {
                assert!(!is_accepted);
                let text = error.to_string();
                assert!(text.contains("number of entries of a list exceeds the limit of 100"), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_does_not_quote_a_whole_page() {
    let body = format!(r#"{{"tags":"{}"}}"#, "x".repeat(1_000_000));
    let server = Server::start(move |_| Reply::new(200).json(&body)).await;
    let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err().to_string();
    assert!(error.contains("no list") && error.len() < 1000, "{} bytes", error.len());
}

#[tokio::test]
async fn ping_needs_a_200() {
    for (status, is_registry) in [(200, true), (404, false), (418, false)] {
        let server = Server::start(move |_| Reply::new(status)).await;
        assert_eq!(registry(&server, options(&Waits::default())).ping().await.is_ok(), is_registry);
        assert_eq!(server.requests(), ["GET /v2/"]);
    }
    let server =
        Server::start(|_| Reply::new(403).json(r#"{"errors":[{"code":"DENIED","message":"go away"}]}"#))
            .await;
    let error = registry(&server, options(&Waits::default())).ping().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Denied(answer) if answer.code == "DENIED"), "{error}");
}

#[tokio::test]
async fn a_prefix_of_the_address_is_before_v2() {
    let server = Server::start(|_| Reply::new(200).json(r#"{"tags":[]}"#)).await;
    let address = format!("{}/prefix", server.url()).parse().unwrap();
    let registry = sampan_client::RegistryClient::new(address, options(&Waits::default())).unwrap();
    registry.repository("a/b".parse().unwrap()).tags().await.unwrap();
    assert_eq!(server.requests(), ["GET /prefix/v2/a/b/tags/list"]);
}
