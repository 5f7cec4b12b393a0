//! Prose says who does what: phrases that hide the subject become fewer, never more (CONTRIBUTING.md, "Prose").

use std::fs;

use super::{files_below, markdown_files, root, show};

/// A phrase, and how often comments, documents and messages may have it. Lower a number when you have removed some.
const AT_MOST: &[(&str, usize)] = &[
    ("nobody", 5),
    ("somebody", 0),
    ("whoever", 0),
    ("is told", 1),
    ("are told", 0),
    ("who is", 1),
    (HEADLESS, 3),
];

/// Stands for a sentence whose subject is a clause, and no question: "What is published is what was hashed."
const HEADLESS: &str = "What is …";

/// The word before a sentence that begins within a line.
const BEFORE_A_SENTENCE: &[&str] = &["", ".", ":", "!", "?", ";", "|", "//", "///", "//!", "#", "-"];

#[test]
fn phrases_without_a_subject_become_fewer() {
    let mut counts = vec![0; AT_MOST.len()];
    let mut last_seen = vec![String::new(); AT_MOST.len()];
    let mut files = files_below(
        &["src", "drivers", "conformance", "tests", "config-samples"],
        &["rs", "sh", "py", "yml"],
    );
    files.extend(markdown_files());
    files.extend([".ci", ".github"].iter().flat_map(|folder| files_of(folder)));
    let this_file = root().join("tests/tidy/prose.rs");
    // CONTRIBUTING.md names the phrases to forbid them, and a changelog is not written again.
    let exempt = [this_file, root().join("CONTRIBUTING.md"), root().join("CHANGELOG.md")];
    for file in files.into_iter().filter(|file| !exempt.contains(file)) {
        for (line, number) in fs::read_to_string(&file).unwrap().lines().zip(1..) {
            for (index, (phrase, _)) in AT_MOST.iter().enumerate() {
                let times = count(line, phrase);
                if times > 0 {
                    counts[index] += times;
                    last_seen[index] = format!("{}:{number}", show(&file));
                }
            }
        }
    }
    let mut too_many = Vec::new();
    for (((phrase, most), now), place) in AT_MOST.iter().zip(counts).zip(last_seen) {
        println!("{phrase}: {now} of at most {most}");
        if now > *most {
            too_many.push(format!("\"{phrase}\": {now}, at most {most} (one is in {place})"));
        }
    }
    assert!(too_many.is_empty(), "say who does what instead (CONTRIBUTING.md, Prose): {too_many:#?}");
}

#[test]
fn a_phrase_is_found_as_words() {
    assert_eq!(count("Nobody waits, and nobody_else is a name; \"nobody\"", "nobody"), 2);
    assert_eq!(count("this told, is told.", "is told"), 1);
    assert_eq!(count("/// What is stored.", HEADLESS), 1);
    assert_eq!(count("It ends. What is left goes. That is what is left.", HEADLESS), 1);
    assert_eq!(count("- What is garbage?", HEADLESS), 0);
}

fn files_of(folder: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

fn count(line: &str, phrase: &str) -> usize {
    if phrase == HEADLESS {
        return headless(line);
    }
    let line = line.to_lowercase();
    let is_part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let hits = line.match_indices(phrase);
    hits.filter(|(start, hit)| {
        let (before, after) = (&line[..*start], &line[start + hit.len()..]);
        !is_part_of_word(before.chars().next_back()) && !is_part_of_word(after.chars().next())
    })
    .count()
}

fn headless(line: &str) -> usize {
    let hits = line.match_indices("What is ").filter(|(start, _)| {
        let (before, sentence) = (line[..*start].trim_end(), &line[*start..]);
        let last_word = before.rsplit(' ').next().unwrap();
        let begins =
            BEFORE_A_SENTENCE.contains(&last_word) || before.ends_with(['.', ':', '!', '?', ';', '|']);
        let end = sentence.find(['.', '?', '!', ';']).map(|end| &sentence[end..=end]);
        begins && end != Some("?")
    });
    hits.count()
}
