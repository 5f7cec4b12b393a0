//! Constraints on versions as skopeo reads them (github.com/Masterminds/semver), in the form of a selector of images.

/// The operators, longest first.
const OPERATORS: &[(&str, &str)] = &[
    ("!=", "!="),
    (">=", ">="),
    ("=>", ">="),
    ("<=", "<="),
    ("=<", "<="),
    ("~>", "~"),
    ("=", "="),
    (">", ">"),
    ("<", "<"),
    ("~", "~"),
    ("^", "^"),
];

/// The range of a selector, such as `>=1.2,<2`, that has the same versions as the constraint.
///
/// # Errors
///
/// The problem, for a constraint that a selector cannot say.
pub(crate) fn range_of(constraint: &str) -> Result<String, String> {
    if constraint.contains("||") {
        return Err("alternatives (`||`) need a selector each".to_owned());
    }
    let mut comparators = Vec::new();
    let mut rest = constraint.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let known = OPERATORS.iter().find(|(spelling, _)| rest.starts_with(spelling));
        let (spelling, operator) = known.copied().unwrap_or(("", "="));
        if operator == "!=" {
            return Err("`!=` is not read: use --exclude".to_owned());
        }
        let text = rest[spelling.len()..].trim_start();
        let end = text.find([' ', ',']).unwrap_or(text.len());
        comparators.push(comparator(operator, &text[..end])?);
        rest = text[end..].trim_start_matches([' ', ',']);
    }
    match comparators.first().map(String::as_str) {
        None => Err("it is empty".to_owned()),
        // A selector with a tilde at its begin would be a regular expression.
        Some(first) if first.starts_with('~') => Ok(format!(">=0,{}", comparators.join(","))),
        Some(_) => Ok(comparators.join(",")),
    }
}

fn comparator(operator: &str, version: &str) -> Result<String, String> {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    if numbers == "-" {
        return Err("a range with a hyphen is not read: write `>=1.2,<=1.4`".to_owned());
    }
    if numbers.contains(['-', '+']) {
        return Err(format!(
            "`{version}` names a pre-release or a build: select these by a tag or a pattern"
        ));
    }
    let parts: Vec<&str> = numbers.split('.').take_while(|part| !matches!(*part, "x" | "X" | "*")).collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(is_number) {
        return Err(format!("`{version}` is no version"));
    }
    match (operator, parts.is_empty()) {
        (">" | "<", true) => Err(format!("`{operator}{version}` has no version")),
        (_, true) => Ok(">=0".to_owned()),
        (_, false) => Ok(format!("{operator}{}", parts.join("."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_become_ranges_or_say_why_not() {
        for (constraint, expected) in [
            (">= 3.12.0", Ok(">=3.12.0")),
            (">=1.2, <2", Ok(">=1.2,<2")),
            (">=1.2 <2", Ok(">=1.2,<2")),
            ("=> v1.2 , =< 2.0.1", Ok(">=1.2,<=2.0.1")),
            ("1.2.3", Ok("=1.2.3")),
            ("1.2.x", Ok("=1.2")),
            ("*", Ok(">=0")),
            ("^1.2", Ok("^1.2")),
            ("~1.2.3", Ok(">=0,~1.2.3")),
            ("~>1", Ok(">=0,~1")),
            ("", Err("empty")),
            ("1 || 2", Err("alternatives")),
            ("!=1.2", Err("--exclude")),
            ("1.2 - 1.4", Err("hyphen")),
            (">=1.2-0", Err("pre-release")),
            (">=latest", Err("no version")),
            ("1.2.3.4", Err("no version")),
            (">=", Err("no version")),
        ] {
            match (range_of(constraint), expected) {
                (Ok(range), Ok(expected)) => assert_eq!(range, expected, "{constraint}"),
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{constraint}: {problem}"),
                (found, expected) => panic!("{constraint}: {found:?} instead of {expected:?}"),
            }
        }
    }
}
