//! helm: charts as OCI artifacts.

use std::fs;

use crate::clients::support::Guarded;

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
