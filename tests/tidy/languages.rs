//! A page and its translation name the same commands.

use std::collections::BTreeSet;
use std::fs;

use super::root;

/// Pages that exist in Traditional Chinese beside English.
const TRANSLATED: &[&str] = &["README", "docs/deployment", "docs/air-gap"];

#[test]
fn both_languages_name_the_same_commands() {
    for page in TRANSLATED {
        let read = |name: String| fs::read_to_string(root().join(name)).unwrap();
        let (english, chinese) = (read(format!("{page}.md")), read(format!("{page}.zh-HK.md")));
        assert!(code_blocks(&english).len() > 1, "{page}.md has no commands to compare");
        if let Some(difference) = code_difference(&english, &chinese) {
            panic!("{page}.md and {page}.zh-HK.md differ: {difference}");
        }
    }
}

#[test]
fn a_command_that_one_language_lacks_is_found() {
    let english = "Run `a`:\n\n```sh\na --x   # begins\n# all of it\nb \"#1\"\n```\n";
    let same = "執行 `a`：\n\n```sh\na --x   # 開始\nb \"#1\"\n```\n";
    assert_eq!(code_difference(english, same), None);
    for other in [
        same.replace("b \"#1\"\n", ""),
        same.replace("--x", "--y"),
        same.replace("```sh", "```yaml"),
        format!("{same}\n```sh\nc\n```\n"),
        same.replace("`a`", "a"),
        same.replace("`a`", "`a` `b`"),
    ] {
        assert!(code_difference(english, &other).is_some(), "{other}");
        assert!(code_difference(&other, english).is_some(), "{other}");
    }
}

/// Where the code of a page and of its translation differs: the first fenced block, else the first piece of code in a sentence.
fn code_difference(page: &str, translation: &str) -> Option<String> {
    let (here, there) = (code_blocks(page), code_blocks(translation));
    for index in 0..here.len().max(there.len()) {
        let (ours, theirs) = (here.get(index), there.get(index));
        if ours != theirs {
            return Some(format!("fenced block {}: {ours:#?} against {theirs:#?}", index + 1));
        }
    }
    let (here, there) = (code_in_sentences(page), code_in_sentences(translation));
    here.symmetric_difference(&there).next().map(|code| format!("only one has `{code}`"))
}

/// The fenced blocks, each with its language in the first line, without comments and empty lines.
fn code_blocks(page: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_inside = !is_inside;
            if is_inside {
                blocks.push(vec![line]);
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| is_inside) {
            let is_comment = line.trim_start().starts_with('#');
            let code = if is_comment { "" } else { line.split(" # ").next().unwrap().trim_end() };
            if !code.is_empty() {
                block.push(code);
            }
        }
    }
    assert!(!is_inside, "a fenced block has no end");
    blocks
}

/// The text between backticks outside of fenced blocks.
fn code_in_sentences(page: &str) -> BTreeSet<&str> {
    let mut is_inside = false;
    let sentences = page.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    });
    sentences.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}
