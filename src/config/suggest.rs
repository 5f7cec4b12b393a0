//! Did-you-mean: the nearest of the names that are known.

/// The candidate that `given` is most likely a misspelling of, if one is near enough.
pub(crate) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    // One slip in a short word, two in a usual one, more in a long one: beyond that a guess is noise.
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

/// The only candidate that begins like this: `rootdir` is meant for `rootdirectory`.
fn abbreviated<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let mut longer = candidates
        .iter()
        .filter(|candidate| given.len() >= 4 && candidate.to_ascii_lowercase().starts_with(given));
    longer.next().filter(|_| longer.next().is_none()).copied()
}

/// The tail of a message about an unknown name: the nearest spelling, or everything that is known.
pub(crate) fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
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
    fn a_slip_is_recognised_and_a_stranger_is_not() {
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
