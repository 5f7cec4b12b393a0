//! zot's patterns, doublestar's, as ours.
//!
//! Differences: there `team/**` matches `team` too, and `**` within a component is `*` (doublestar's `match.go`).

use sampan_config::RepositoryPattern;

use super::ZotError;

/// A pattern of zot as patterns of ours.
pub(super) struct Translated {
    pub(super) patterns: Vec<RepositoryPattern>,
}

/// Translates a pattern.
///
/// # Errors
///
/// The pattern has classes or escapes, or a `**` of which doublestar makes something special, or it is no pattern of
/// repository names.
pub(super) fn translate(pattern: &str) -> Result<Translated, ZotError> {
    let fail = |problem: String| ZotError::Pattern { pattern: pattern.to_owned(), problem };
    if pattern.contains(['[', ']', '\\', '$']) {
        return Err(fail("has a class, an escape or a `$`, which have no counterpart".to_owned()));
    }
    if has_double_star_at_brace(pattern) {
        return Err(fail("has a `**` within or beside braces, which has no counterpart".to_owned()));
    }
    if pattern.contains("**/**") {
        return Err(fail("has one `**` after the other, which has no counterpart".to_owned()));
    }
    let mut patterns = Vec::new();
    for variant in variants(pattern) {
        let parsed = variant.parse::<RepositoryPattern>();
        patterns.push(parsed.map_err(|problem| {
            let reason = problem.trim_start_matches(&format!("`{variant}`: "));
            fail(format!("cannot be one here ({reason})"))
        })?);
    }
    Ok(Translated { patterns })
}

/// The pattern, and the one for what `/**` at its end matches besides.
fn variants(pattern: &str) -> Vec<String> {
    let components: Vec<String> = pattern
        .split('/')
        .map(|component| match component {
            "**" => component.to_owned(),
            other => single_stars(other),
        })
        .collect();
    let whole = components.join("/");
    match whole.strip_suffix("/**") {
        // `**` alone matches everything already.
        Some(above) if above != "**" => vec![above.to_owned(), whole],
        _ => vec![whole],
    }
}

fn single_stars(component: &str) -> String {
    let mut single = component.to_owned();
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    single
}

fn has_double_star_at_brace(pattern: &str) -> bool {
    let mut depth = 0_usize;
    let bytes = pattern.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'*' if bytes.get(index + 1) == Some(&b'*') => {
                let before = index.checked_sub(1).map(|index| bytes[index]);
                if depth > 0 || before == Some(b'}') || bytes.get(index + 2) == Some(&b'{') {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

impl Translated {
    /// Whether some name may match both; `true` proves nothing.
    pub(super) fn may_overlap(&self, other: &Self) -> bool {
        self.globs().any(|one| other.globs().any(|other| may_overlap(&one, &other)))
    }

    fn globs(&self) -> impl Iterator<Item = String> {
        self.patterns.iter().flat_map(|pattern| pattern.globs(""))
    }
}

fn may_overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    let is_literal = |component: &str| !component.contains(['*', '?']);
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some("**"), _) | (_, Some("**")) => return true,
            (Some(one), Some(other)) if is_literal(one) && is_literal(other) && one != other => return false,
            (Some(_), Some(_)) => {}
            (None, Some(_)) | (Some(_), None) => return false,
        }
    }
}
