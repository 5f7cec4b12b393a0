//! helm: charts as OCI artifacts.

use std::fs;

use crate::clients::access::{TEN_SECONDS, counts_within};
use crate::clients::support::Guarded;
use crate::support::access_section;

#[test]
#[ignore = "needs helm"]
fn helm_pushes_charts_and_pulls_them_by_range_and_digest() {
    let guarded = Guarded::start();
    let helm = |arguments: &str| guarded.run("helm", arguments);
    let charts = format!("oci://{}", guarded.name("team/charts"));
    helm("create web");
    for version in ["0.1.0", "0.2.0", "1.0.0+build.7"] {
        helm(&format!("package web --version {version}"));
    }
    let failed = guarded.fail("helm", &format!("push web-0.1.0.tgz {charts}"));
    assert!(failed.contains("basic credential not found"), "{failed}");
    guarded.log_in("helm", "registry login --username USER --password-stdin HOST");
    for version in ["0.1.0", "0.2.0", "1.0.0+build.7"] {
        helm(&format!("push web-{version}.tgz {charts}"));
    }

    fs::create_dir(guarded.path("pulled")).unwrap();
    // A range makes helm list the tags; a plus is no letter of a tag, so helm writes it as `_`.
    for (range, version) in [("~0.1", "0.1.0"), ("<1", "0.2.0"), (">=1", "1.0.0+build.7")] {
        helm(&format!("pull {charts}/web --version {range} --destination pulled"));
        let chart = format!("web-{version}.tgz");
        let read = |folder: &str| fs::read(guarded.path(folder).join(&chart)).unwrap();
        assert!(read("pulled") == read(""), "{chart}");
    }
    let shown = helm(&format!("show chart {charts}/web --version 0.2.0"));
    assert!(shown.contains("version: 0.2.0"), "{shown}");
    let rendered = helm(&format!("template release {charts}/web --version 0.2.0"));
    assert!(rendered.contains("kind: Service"), "{rendered}");

    guarded.run("helm", &format!("registry logout {}", guarded.host()));
    guarded.fail("helm", &format!("pull {charts}/web --version 0.1.0"));
}

#[test]
#[ignore = "needs helm"]
fn helm_resolves_a_dependency_in_the_registry() {
    let guarded = Guarded::start();
    guarded.log_in("helm", "registry login --username USER --password-stdin HOST");
    let charts = format!("oci://{}", guarded.name("charts"));
    guarded.run("helm", "create library");
    guarded.run("helm", "package library --version 0.3.1");
    guarded.run("helm", &format!("push library-0.3.1.tgz {charts}"));
    guarded.run("helm", "create web");
    let chart = fs::read_to_string(guarded.path("web/Chart.yaml")).unwrap();
    let dependency = format!("dependencies: [{{name: library, version: ~0.3, repository: '{charts}'}}]\n");
    fs::write(guarded.path("web/Chart.yaml"), chart + &dependency).unwrap();
    guarded.run("helm", "dependency update web");
    assert!(guarded.path("web/charts/library-0.3.1.tgz").exists());
    let lock = fs::read_to_string(guarded.path("web/Chart.lock")).unwrap();
    assert!(lock.contains("version: 0.3.1"), "{lock}");
}

#[test]
#[ignore = "needs helm"]
fn helm_pushes_and_pulls_a_chart_with_a_robots_token_until_it_is_revoked() {
    let guarded = Guarded::start_with(&["carol"], access_section());
    let secret = guarded.registry_command("token create ci --may push --on team/** --expires 1d");
    guarded.run("helm", "create web");
    guarded.run("helm", "package web --version 0.1.0");
    let charts = |repository: &str| format!("oci://{}", guarded.name(repository));
    guarded.fail("helm", &format!("push web-0.1.0.tgz {}", charts("team/charts")));
    guarded.log_in_with("helm", "registry login --username ci --password-stdin HOST", &secret);
    guarded.run("helm", &format!("push web-0.1.0.tgz {}", charts("team/charts")));
    let refused = guarded.fail("helm", &format!("push web-0.1.0.tgz {}", charts("library")));
    assert!(refused.contains("ci may not push to library/web"), "{refused}");
    fs::create_dir(guarded.path("pulled")).unwrap();
    guarded.run("helm", &format!("pull {}/web --destination pulled", charts("team/charts")));
    let read = |folder: &str| fs::read(guarded.path(folder).join("web-0.1.0.tgz")).unwrap();
    assert!(read("pulled") == read(""));
    guarded.registry_command(&format!("token revoke {}", secret.split('_').nth(1).unwrap()));
    let push = format!("push web-0.1.0.tgz {}", charts("team/charts"));
    counts_within(TEN_SECONDS, || {
        !guarded.client("helm").args(push.split_whitespace()).output().unwrap().status.success()
    });
    let again = guarded.registry_command("token create ci --may pull --on team/** --expires 1d");
    guarded.log_in_with("helm", "registry login --username ci --password-stdin HOST", &again);
    guarded.run("helm", &format!("show chart {}/web", charts("team/charts")));
    guarded.fail("helm", &push);
}
