//! The page of metrics, as Prometheus reads it, and what is drawn and alarmed from it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::debug_listener::{debug, get};
use crate::clients::support::{filesystem_config, registry, tool};

/// The page of a registry that has done a bit of everything.
pub(crate) fn page(directory: &Path) -> String {
    let config = filesystem_config(&directory.join("data")).replace(
        "http: {",
        "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true, repositories: 1}}, ",
    );
    let config = config
        + "access: {rules: [{who: everyone, may: push, on: '**', except: 'three'}]}\nui: {enabled: true}\n\
           proxy: {upstreams: [{name: hub, url: 'http://127.0.0.1:1', prefix: docker.io}]}\n\
           sync: [{name: base, from: hub, repositories: [{from: library/debian}]}]\n";
    let registry = registry(directory, &config);
    let digest = sampan_engine::oci::Digest::sha256_of(b"{}");
    let put = |repository: &str| {
        let location =
            registry.wire().send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"").location();
        assert_eq!(
            registry.wire().send("PUT", &format!("{location}?digest={digest}"), &[], b"{}").status,
            201
        );
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":\
             {{\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"{digest}\",\"size\":2}},\"layers\":[]}}"
        );
        let path = format!("/v2/{repository}/manifests/latest");
        let json = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
        assert_eq!(registry.wire().send("PUT", &path, &json, manifest.as_bytes()).status, 201);
        assert_eq!(registry.wire().send("GET", &path, &[], b"").status, 200);
    };
    put("one");
    put("two");
    assert_eq!(registry.wire().send("GET", "/v2/one/tags/list", &[], b"").status, 200);
    assert_eq!(registry.wire().send("GET", "/v2/three/tags/list", &[], b"").status, 401);
    assert_eq!(registry.wire().send("GET", "/auth/token?scope=repository:one:pull", &[], b"").status, 200);
    let forged = [("Authorization", "Bearer a.b.c")];
    assert_eq!(registry.wire().send("GET", "/v2/one/tags/list", &forged, b"").status, 401);
    // The page counts as the API does.
    let wrong = [("Authorization", "Basic YTpi"), ("Accept", "text/html")];
    assert_eq!(registry.wire().send("GET", "/ui/", &wrong, b"").status, 401);
    get(debug(&registry), "/metrics")
}

#[test]
fn what_has_happened_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path());
    for line in [
        "registry_http_requests_total{code=\"201\",handler=\"manifest\",method=\"put\"} 2",
        "registry_http_requests_total{code=\"202\",handler=\"blob_upload\",method=\"post\"} 2",
        "registry_http_request_duration_seconds_count{handler=\"manifest\",method=\"get\"} 2",
        "registry_http_response_size_bytes_count{handler=\"tags\"} 3",
        "registry_storage_action_seconds_count{action=\"Commit\",driver=\"filesystem\"} 2",
        "registry_storage_cache_errors_total 0",
        "sampan_http_received_bytes_total{handler=\"blob_upload_chunk\"} 4",
        "sampan_repository_pulls_total{repository=\"one\"} 1",
        "sampan_repository_pushes_total{repository=\"_others\"} 1",
        "sampan_auth_decisions_total{result=\"allowed\"} 9",
        "sampan_auth_decisions_total{result=\"forbidden\"} 0",
        "sampan_auth_decisions_total{result=\"login_needed\"} 1",
        "sampan_auth_refusals_total{reason=\"invalid_token\"} 1",
        "sampan_auth_refusals_total{reason=\"wrong\"} 1",
        "sampan_auth_rules_stale 0",
        "sampan_auth_tokens_issued_total{kind=\"anonymous\"} 1",
        "sampan_auth_tokens_refused_total{reason=\"invalid\"} 1",
        "sampan_storage_errors_total{action=\"Stat\",driver=\"filesystem\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}:\n{page}");
    }
    let free = page.lines().find_map(|line| line.strip_prefix("sampan_storage_free_bytes ")).unwrap();
    assert!(free.parse::<f64>().unwrap() > 0.0);
}

/// Every word of `text` that can only be the name of a metric.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| ["registry_", "sampan_", "process_"].iter().any(|start| word.starts_with(start));
    words.filter(ours).map(str::to_owned).collect()
}

/// Samples, that is to say that histograms are taken for what they are made of.
fn is_on(page: &str, name: &str) -> bool {
    page.lines().any(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    }) || page.contains(&format!("# TYPE {name} "))
}

fn sample(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples/monitoring").join(name);
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_dashboard_and_the_alarms_ask_for_metrics_that_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path());
    let (_, dashboard) = sample("grafana.json");
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = String::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            asked.push_str(target["expr"].as_str().unwrap());
            asked.push('\n');
        }
    }
    asked.push_str(&sample("alerts.rules").1);
    let asked = names(&asked);
    assert!(asked.len() > 20, "{asked:?}");
    // Without TLS there is no certificate, and without `verify` nothing is hashed.
    // No run of a job had everything.
    let elsewhere = [
        "sampan_tls_certificate_expiry_timestamp_seconds",
        "sampan_verify_last_cycle_timestamp_seconds",
        "sampan_sync_last_whole_timestamp_seconds",
    ];
    let missing: Vec<_> =
        asked.iter().filter(|name| !elsewhere.contains(&name.as_str()) && !is_on(&page, name)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}\n{page}");
    // Each alarm is explained.
    let explained = include_str!("../../docs/operating.md");
    for alarm in sample("alerts.rules").1.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(explained.contains(&format!("**{alarm}**")), "docs/operating.md does not explain {alarm}");
    }
}

#[test]
fn the_page_for_those_who_operate_names_every_metric() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path());
    let explained = include_str!("../../docs/operating.md");
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        let is_named = explained.contains(&format!("`{name}`")) || explained.contains(&format!("`{name}{{"));
        assert!(is_named || name.starts_with("process_"), "docs/operating.md does not name {name}");
    }
}

#[test]
#[ignore = "needs promtool"]
fn prometheus_reads_the_page_and_has_nothing_to_say_against_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path());
    let mut promtool = tool("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("is the package prometheus installed?");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let ended = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.is_empty(), "{said}");
    let (alarms, _) = sample("alerts.rules");
    let ended = tool("promtool").args(["check", "rules"]).arg(alarms).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}
