//! Requests that a run may cost.

use super::support::{copy_of_app, entry, job, signature_tag};
use crate::cache::support::World;
use crate::support::upstream::Login;

#[tokio::test]
async fn a_run_without_news_costs_a_list_and_a_comparison_and_a_question_for_each_tag() {
    for to in [Some("copy"), None] {
        let world = World::new().await;
        let one = world.upstream.image("app", "one", &[b"one"]);
        let child = world.upstream.image("app", "child", &[b"child"]);
        world.upstream.untag("app", "child");
        let index = world.upstream.index("app", "two", &[("linux/amd64", &child)]);
        world.upstream.blob("app", "{}");
        world.upstream.blob("app", "a/b");
        world.upstream.attach("app", &one, "a/b");
        let signature = signature_tag(&index.digest);
        world.upstream.image("app", &signature, &[b"cosign"]);
        let job = job(vec![entry("app", to)]);
        world.whole(&job).await;
        world.upstream.requests();
        let report = world.whole(&job).await;
        assert_eq!((report.copied, report.unchanged), (0, 2));
        let mut expected = vec![
            "GET /v2/app/tags/list".to_owned(),
            "HEAD /v2/app/manifests/one".to_owned(),
            format!("GET /v2/app/referrers/{}", one.digest),
            "HEAD /v2/app/manifests/two".to_owned(),
            format!("GET /v2/app/referrers/{}", index.digest),
            format!("HEAD /v2/app/manifests/{signature}"),
        ];
        let mut asked = world.upstream.requests();
        expected.sort();
        asked.sort();
        assert_eq!(asked, expected, "{to:?}");
    }
}

#[tokio::test]
async fn a_first_run_asks_for_each_part_once() {
    let world = World::new().await;
    world.upstream.want(Login::AnonymousToken);
    let image = world.upstream.image("app", "one", &[b"one", b"two"]);
    // The same image under another tag, and its layers in another one.
    world.upstream.manifest("app", "same", "application/vnd.oci.image.manifest.v1+json", &image.manifest);
    let other = world.upstream.image("app", "zero", &[b"one", b"two"]);
    world.whole(&copy_of_app()).await;
    let asked = world.upstream.requests();
    let count = |wanted: &str| asked.iter().filter(|request| *request == wanted).count();
    for digest in [&image.digest, &other.digest] {
        assert_eq!(count(&format!("GET /v2/app/manifests/{digest}")), 1, "{asked:?}");
    }
    for blob in image.blobs.iter().chain(&other.blobs) {
        assert_eq!(count(&format!("GET /v2/app/blobs/{blob}")), 1, "{asked:?}");
        assert_eq!(count(&format!("HEAD /v2/app/blobs/{blob}")), 0, "{asked:?}");
    }
    assert_eq!(count("GET /token"), 1, "{asked:?}");
}

/// A layer that several repositories of a job have comes once; of the second, the upstream says whether it has it.
#[tokio::test]
async fn a_blob_of_several_repositories_is_transferred_once() {
    let world = World::new().await;
    let one = world.upstream.image("app", "one", &[b"common"]);
    world.upstream.image("other", "one", &[b"common"]);
    let entries = vec![entry("app", Some("copy")), entry("other", Some("second"))];
    world.whole(&job(entries)).await;
    let asked = world.upstream.requests();
    let layer = format!("/blobs/{}", one.blobs[1]);
    let asked: Vec<_> = asked.iter().filter(|request| request.ends_with(&layer)).collect();
    assert_eq!(asked, [&format!("GET /v2/app{layer}"), &format!("HEAD /v2/other{layer}")]);
    world.assert_pullable("copy", "one").await;
    world.assert_pullable("second", "one").await;
}
