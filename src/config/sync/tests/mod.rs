//! Jobs as they are read, and the messages of mistakes.

mod jobs;
mod keys;
mod places;
mod sources;

use crate::checked::checked;

/// The first lines of a file with two upstreams.
const PROXY: &str = "version: 0.1
storage: { inmemory: {}, delete: { enabled: true } }
proxy: { upstreams: [{ name: hub, url: 'https://docker.io' }, { name: quay, url: 'https://quay.io' }] }
";

/// The fourth line of a file has jobs, in flow style.
fn jobs(jobs: &str) -> String {
    format!("{PROXY}sync: [{jobs}]\n")
}

/// A job that copies from `hub`, with one repository.
fn from_hub(repository: &str) -> String {
    jobs(&format!("{{ name: base, from: hub, repositories: [{{ {repository} }}] }}"))
}

/// A job that copies from `quay`.
fn from_quay(repositories: &str) -> String {
    jobs(&format!("{{ name: base, from: quay, repositories: [{repositories}] }}"))
}

/// With other keys of `proxy` beside its upstreams.
fn with_proxy(keys: &str, file: &str) -> String {
    file.replace("proxy: {", &format!("proxy: {{ {keys},"))
}

/// With another section `proxy`.
fn with_other_proxy(proxy: &str, file: &str) -> String {
    let line = PROXY.lines().find(|line| line.starts_with("proxy:")).unwrap();
    file.replace(line, proxy)
}

#[track_caller]
fn is_refused(file: &str, expected: &str) {
    let checked = checked(file, &[]);
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), (expected, ""), "{file}");
}

#[track_caller]
fn is_accepted(file: &str) {
    is_refused(file, "");
}
