//! Did-you-mean: the nearest known name.

/// The candidate that `given` most likely misspells, if one is near enough.
pub(crate) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    // One slip in a short word, two in a medium one, three in a long one; a guess beyond that is noise.
    let tolerated = match given.chars().count() {
        0..=3 => 1,
        4..=8 => 2,
        _ => 3,
    };
    let candidates: Vec<&str> = candidates.into_iter().collect();
    candidates
        .iter()
        .map(|&candidate| (strsim::osa_distance(&given, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| abbreviated(&given, &candidates))
}

/// The only candidate with this prefix: `rootdir` means `rootdirectory`.
fn abbreviated<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let mut longer = candidates
        .iter()
        .filter(|candidate| given.len() >= 4 && candidate.to_ascii_lowercase().starts_with(given));
    longer.next().filter(|_| longer.next().is_none()).copied()
}

/// The end of a message about an unknown name: the nearest name, or all known names.
pub fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(given, candidates.iter().copied()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None if candidates.is_empty() => String::new(),
        None => format!("; known here: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_gets_a_suggestion_and_another_word_does_not() {
        let known = ["addr", "headers", "relativeurls"];
        assert_eq!(nearest("adr", known), Some("addr"));
        assert_eq!(nearest("Addr", known), Some("addr"));
        assert_eq!(nearest("relativurl", known), Some("relativeurls"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("rela", known), Some("relativeurls"));
        assert_eq!(nearest("rel", known), None);
        assert_eq!(hint("colour", known), "; known here: addr, headers, relativeurls");
        assert_eq!(hint("header", known), "; did you mean `headers`?");
    }
}
