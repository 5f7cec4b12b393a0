//! The rules of `config-samples/access.yml`, which the tests of `access` take.

/// The section `access` of the sample, with groups and rules.
pub(crate) fn access_section() -> &'static str {
    let sample = include_str!("../../config-samples/access.yml");
    let begin = sample.find("\naccess:\n").unwrap() + 1;
    let end = begin + sample[begin..].find("\nhttp:").unwrap() + 1;
    &sample[begin..end]
}

/// The same as a file of its own.
pub(crate) fn policy_file() -> String {
    let lines = access_section().lines().skip(1);
    lines.map(|line| format!("{}\n", line.strip_prefix("  ").unwrap())).collect()
}
