//! `registry cache complete`, by the built binary.

use crate::cli::support::{binary, end};
use crate::clients::support::Process;

use super::command::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_command_and_leaves_no_part_of_a_blob() {
    for signal in ["INT", "TERM"] {
        let site = Site::new().await;
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
    let site = Site::new().await;
    let args = ["cache", "complete", "config.yml", "--image", "up/app:1.0", "--image", "other/app:1.0"];
    let refused = end(binary(site.directory.path()).args(args), "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("other/app is below the prefix of no upstream"), "{refused:?}");
    assert_eq!(site.upstream.requests(), [""; 0]);
}
