//! The page of metrics: names, types, help texts and labels, without values.

use std::collections::BTreeSet;

#[test]
fn the_metrics_are_as_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let page = crate::cli::metrics::page(directory.path());
    let mut lines = Vec::new();
    let mut samples = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with('#') {
            // The samples of one family are in no order, and their number depends on what has happened.
            lines.extend(std::mem::take(&mut samples));
            lines.push(line.to_owned());
        } else if let Some((name, _)) = line.rsplit_once(' ') {
            samples.insert(without_values(name));
        }
    }
    lines.extend(samples);
    super::check("metrics.txt", &(lines.join("\n") + "\n"));
}

/// `name{label="value"}` as `name{label}`.
fn without_values(sample: &str) -> String {
    let Some((name, labels)) = sample.trim_end_matches('}').split_once('{') else { return sample.to_owned() };
    let labels: Vec<&str> = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0)).collect();
    format!("{name}{{{}}}", labels.join(","))
}
