//! Lists of images: one reference a line, as hauler, k3s and kubeadm write them.

use super::{InvalidSelector, Selector};

/// Parses a list: one selector a line; empty lines and comments after `#` do not count, and a host before the repository is
/// cut off.
///
/// # Errors
///
/// The number of the first bad line, and its problem.
pub fn parse_lines(text: &str) -> Result<Vec<Selector>, (usize, InvalidSelector)> {
    let mut selectors = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        if !line.is_empty() {
            let selector = without_host(line).parse().map_err(|error| (number, error))?;
            selectors.push(selector);
        }
    }
    Ok(selectors)
}

/// Cuts off a host, which docker tells from the first component of a name by a dot, a colon or `localhost`.
fn without_host(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => rest,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_references_without_their_hosts() {
        let list =
            "# images\nregistry.example:5000/team/app:1.0\n\nlocalhost/b # mine\n  c/d:~v.*/x\nteam/app\n";
        let texts: Vec<String> = parse_lines(list).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["team/app:1.0", "b", "c/d:~v.*/x", "team/app"]);
        let (line, error) = parse_lines("a\nb:\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(error.to_string().contains("tag is empty"));
    }
}
