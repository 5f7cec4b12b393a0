//! Which repositories and tags a configured job copies.

use sampan::config::{Config, Environment, Source};
use sampan_sync::{Job, JobReport};

use super::support::failures;
use crate::cache::support::World;

/// The only job of a configuration with these repositories.
fn configured(repositories: &str) -> Job {
    let text = format!(
        "version: 0.1\nstorage: inmemory\nproxy: {{upstreams: [{{name: up, url: 'https://up.example'}}]}}\n\
         sync:\n  - name: job\n    from: up\n    repositories: {repositories}\n"
    );
    let source = Source::Text { name: "config.yml".to_owned(), text };
    let loaded = Config::load(source, &std::iter::empty().collect::<Environment>()).unwrap();
    let jobs = sampan::app::sync_jobs(&loaded.config).unwrap();
    jobs.into_iter().next().unwrap().0
}

async fn world() -> World {
    let world = World::new().await;
    for tag in ["1.9", "1.10", "1.10-slim", "v2.0", "2.1", "3.0-rc.1", "edge", "latest"] {
        world.upstream.image("team/app", tag, &[tag.as_bytes()]);
    }
    world
}

/// The tags of a repository here.
async fn tags(world: &World, name: &str) -> Vec<String> {
    let answer = world.server.call("GET", format!("/v2/{name}/tags/list")).send().await;
    if answer.status == 404 {
        return Vec::new();
    }
    let tags = answer.json()["tags"].as_array().unwrap().clone();
    tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_job_copies_the_tags_that_its_configuration_chooses() {
    let world = world().await;
    for (number, (tags_key, expected)) in [
        ("{}", &["1.10", "1.10-slim", "1.9", "2.1", "3.0-rc.1", "edge", "latest", "v2.0"][..]),
        ("{allow: ['^1']}", &["1.10", "1.10-slim", "1.9"]),
        ("{allow: ['^1', edge], deny: ['-slim$']}", &["1.10", "1.9", "edge"]),
        ("{semver: '>=1.10, <3'}", &["1.10", "2.1", "v2.0"]),
        ("{deny: [slim], newest: 2}", &["2.1", "3.0-rc.1"]),
        ("{semver: '<3', newest: 2}", &["2.1", "v2.0"]),
        ("{allow: ['^[0-9.]+$'], newest: 1}", &["2.1"]),
        ("{newest: 100, deny: ['-']}", &["1.10", "1.9", "2.1", "v2.0"]),
    ]
    .into_iter()
    .enumerate()
    {
        let job = configured(&format!("[{{from: team/app, to: copy/{number}, tags: {tags_key}}}]"));
        let report = world.whole(&job).await;
        assert_eq!(tags(&world, &format!("copy/{number}")).await, expected, "{tags_key}");
        assert_eq!(report.copied as usize, expected.len(), "{tags_key}");
    }
}

#[tokio::test]
async fn a_choice_that_fits_nothing_is_named() {
    let world = world().await;
    for (tags_key, expected) in [
        ("{allow: ['^x']}", "none of its 8 tags is wanted"),
        ("{allow: [edge, latest], newest: 1}", "no tag is a version"),
    ] {
        let report =
            world.sync(&configured(&format!("[{{from: team/app, to: copy, tags: {tags_key}}}]"))).await;
        let failures = failures(&report);
        assert!(failures.len() == 1 && failures[0].contains(expected), "{failures:?}");
        assert!(failures[0].starts_with("copy: "), "{failures:?}");
    }
}

async fn run(world: &World, repositories: &str) -> (JobReport, Vec<String>) {
    world.upstream.requests();
    let report = world.sync(&configured(repositories)).await;
    let requests = world.upstream.requests();
    (report, requests.into_iter().filter(|request| request.ends_with("/_catalog")).collect())
}

#[tokio::test]
async fn a_pattern_copies_the_repositories_of_the_catalog_that_match() {
    let world = World::new().await;
    for name in ["team/one", "team/two", "team/deep/three", "teams/four", "other"] {
        world.upstream.image(name, "latest", &[name.as_bytes()]);
    }
    world.upstream.show_catalog();
    let (report, catalogs) = run(&world, "[{from: 'team/*', to: copy}]").await;
    assert!(report.is_whole() && report.repositories == 2, "{report:?}");
    assert_eq!(catalogs.len(), 1);
    assert_eq!(tags(&world, "copy/one").await, ["latest"]);
    assert_eq!(tags(&world, "copy/two").await, ["latest"]);
    for name in ["copy/deep/three", "copy/four", "copys/four", "copy/team/one", "copy"] {
        assert!(tags(&world, name).await.is_empty(), "{name}");
    }
    let (report, _) = run(&world, "[{from: 'team/**', to: all}, {from: '**'}]").await;
    assert!(report.is_whole() && report.repositories == 3 + 5, "{report:?}");
    assert_eq!(tags(&world, "all/deep/three").await, ["latest"]);
    assert_eq!(tags(&world, "up/other").await, ["latest"]);
}

#[tokio::test]
async fn a_pattern_needs_a_catalog_and_a_name_does_not() {
    let world = world().await;
    let (report, catalogs) = run(&world, "[{from: 'team/*', to: copy}, {from: team/app, to: other}]").await;
    assert_eq!(catalogs, ["GET /v2/_catalog"]);
    assert_eq!((report.failed, report.copied, &report.stopped), (1, 8, &None), "{report:?}");
    assert!(failures(&report)[0].contains("no list of its repositories"), "{report:?}");
    let (report, catalogs) = run(&world, "[{from: team/app, to: third}]").await;
    assert!(report.is_whole() && catalogs.is_empty(), "{report:?} {catalogs:?}");
}

/// Fails if an entry is shown without a name.
#[tokio::test]
async fn a_pattern_that_matches_nothing_is_named() {
    let world = world().await;
    world.upstream.show_catalog();
    for pattern in ["x/**", "**/x"] {
        let (report, _) = run(&world, &format!("[{{from: '{pattern}', to: copy}}]")).await;
        let failures = failures(&report);
        assert!(failures[0].contains("no repository of the upstream matches"), "{failures:?}");
        assert!(failures[0].starts_with("copy"), "{failures:?}");
        let (report, _) = run(&world, &format!("[{{from: '{pattern}'}}]")).await;
        assert!(!report.failures[0].image.is_empty(), "{report:?}");
    }
}

/// A job leaves out a repository that matches its pattern but has no wanted tag.
#[tokio::test]
async fn a_repository_of_a_pattern_without_a_wanted_tag_is_passed_over() {
    let world = world().await;
    world.upstream.image("team/other", "x", &[b"x"]);
    world.upstream.show_catalog();
    let (report, _) = run(&world, "[{from: 'team/*', to: copy, tags: {allow: ['^x$']}}]").await;
    assert!(report.is_whole() && report.copied == 1, "{report:?}");
}
