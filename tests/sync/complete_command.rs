//! `registry cache complete`, by the built binary.

use crate::cli::support::{binary, end};
use crate::clients::support::Process;

use super::command::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_command_and_leaves_no_part_of_a_blob() {
    for signal in ["INT", "TERM"] {
        let site = Fixture::new().await;
        let layer = vec![7; 500_000];
        site.upstream.image("app", "large", &[&layer]);
        site.upstream.script(|seen, honest| match seen.path().contains("/blobs/") {
            true => honest.stalling_after(200_000),
            false => honest,
        });
        let mut process = Process::start(binary(site.directory.path()).args([
            "cache",
            "complete",
            "config.yml",
            "--image",
            "up/app:large",
        ]));
        let staged = || {
            let files = site.store().files();
            files.into_iter().filter(|file| file.contains("/_uploads/")).collect::<Vec<_>>()
        };
        while staged().is_empty() {
            tokio::task::yield_now().await;
        }
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(1), "{}", process.log());
        process.wait_to_say("run the command again for the rest");
        assert_eq!(staged(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_no_upstream_is_refused_before_anything_is_fetched() {
    let site = Fixture::new().await;
    let args = ["cache", "complete", "config.yml", "--image", "up/app:1.0", "--image", "other/app:1.0"];
    let refused = end(binary(site.directory.path()).args(args), "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("other/app is below the prefix of no upstream"), "{refused:?}");
    assert_eq!(site.upstream.requests(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_arguments_do_not_match_is_named() {
    let site = Fixture::new().await;
    let image = site.upstream.image("app", "1.0", &[b"layer"]);
    site.upstream.index("app", "all", &[("linux/amd64", &image)]);
    let run = |more: &[&str]| {
        let args = ["cache", "complete", "config.yml"];
        end(binary(site.directory.path()).args(args).args(more), "")
    };
    let fetched = run(&["--image", "up/app:all", "--platform", "linux/amd64"]);
    assert_eq!((fetched.code, &*fetched.stderr), (Some(0), ""), "{fetched:?}");
    let absent = run(&["--repository", "up/ap", "--repository", "up/app"]);
    assert_eq!(absent.code, Some(3), "{absent:?}");
    assert!(absent.stderr.contains("no repository matches `--repository up/ap`"), "{absent:?}");
    assert!(!absent.stderr.contains("up/app"), "{absent:?}");
    let absent = run(&["--platform", "linux/amd64,linux/arm64"]);
    assert_eq!(absent.code, Some(3), "{absent:?}");
    assert_eq!(absent.stderr, "no index of these images names `--platform linux/arm64`\n");
    let lacking = run(&["--image", "up/app:none"]);
    assert_eq!(lacking.code, Some(3), "{lacking:?}");
    assert!(lacking.stdout.starts_with("up/app:none lacks its manifest: "), "{lacking:?}");
    let none = run(&["--jobs", "0"]);
    assert!(none.code == Some(2) && none.stderr.contains("it must be at least 1"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_names_what_is_lacking_still_and_progress_may_be_json() {
    let site = Fixture::new().await;
    let image = site.upstream.image("app", "1.5", &[b"three"]);
    let run = |more: &[&str]| {
        let args = ["cache", "complete", "config.yml", "--image", "up/app:1.5"];
        end(binary(site.directory.path()).args(args).args(more), "")
    };
    site.upstream.lose_blob("app", &image.blobs[1]);
    let quiet = run(&["--quiet"]);
    assert_eq!((quiet.code, &*quiet.stdout), (Some(3), ""), "{quiet:?}");
    assert!(
        quiet.stderr.starts_with("up/app:1.5 lacks sha256:") && quiet.stderr.lines().count() == 1,
        "{quiet:?}"
    );
    site.upstream.blob("app", "three");
    let shown = run(&["--progress", "json"]);
    assert_eq!((shown.code, shown.stdout.lines().last().unwrap()), (Some(0), "1 tag: 1 fetched, 0 lacking"));
    let last: serde_json::Value = serde_json::from_str(shown.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["totalBytes"]), (&"progress".into(), &serde_json::Value::Null));
    let quiet = run(&["--quiet"]);
    assert_eq!((quiet.code, quiet.stdout + &quiet.stderr), (Some(0), String::new()));
}
