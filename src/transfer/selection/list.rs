//! Lists of images: one reference a line, as hauler, k3s and kubeadm write them.

use std::str::FromStr;

use super::{InvalidSelector, Selector};

/// An image of a list: the host before its repository, and a selector for the rest.
#[derive(Clone, Debug)]
pub struct ListedSelector {
    /// The host, as it is written.
    pub host: Option<String>,
    /// The image without its host.
    pub selector: Selector,
}

impl FromStr for ListedSelector {
    type Err = InvalidSelector;

    fn from_str(reference: &str) -> Result<Self, InvalidSelector> {
        let (host, rest) = split_host(reference);
        Ok(Self { host: host.map(str::to_owned), selector: rest.parse()? })
    }
}

/// Parses a list: one image a line, each with the number of its line; empty lines and comments after `#` do not count.
///
/// # Errors
///
/// The number of the first bad line, and its problem.
pub fn parse_lines(text: &str) -> Result<Vec<(usize, ListedSelector)>, (usize, InvalidSelector)> {
    let mut images = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        if !line.is_empty() {
            images.push((number, line.parse().map_err(|error| (number, error))?));
        }
    }
    Ok(images)
}

/// The host of a reference, which docker tells from the first component of a name by a dot, a colon or `localhost`, and the
/// rest.
pub(crate) fn split_host(reference: &str) -> (Option<&str>, &str) {
    match reference.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => (Some(host), rest),
        _ => (None, reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_references_with_or_without_hosts() {
        let list = "\u{feff}# images\nregistry.example:5000/team/app:1.0\n\nlocalhost/b # mine\n  c/d:~v.*/x\nteam/app\n";
        let found: Vec<_> = parse_lines(list)
            .unwrap()
            .into_iter()
            .map(|(line, image)| (line, image.host.unwrap_or_default(), image.selector.to_string()))
            .collect();
        let expected = [
            (2, "registry.example:5000", "team/app:1.0"),
            (4, "localhost", "b"),
            (5, "", "c/d:~v.*/x"),
            (6, "", "team/app"),
        ];
        assert_eq!(found, expected.map(|(line, host, image)| (line, host.to_owned(), image.to_owned())));
        let (line, error) = parse_lines("a\nb:\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(error.to_string().contains("tag is empty"));
    }
}
