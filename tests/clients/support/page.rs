//! The fenced blocks of a page, for tests that run its commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// One fenced block.
pub(crate) struct Block {
    /// The line of the page on which its text begins.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Block {
    /// Its first line.
    pub(crate) fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// The fenced blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            open = !open;
            if open {
                blocks.push(Block { line: index + 2, text: String::new() });
            }
        } else if open {
            let block = blocks.last_mut().unwrap();
            block.text.push_str(line);
            block.text.push('\n');
        }
    }
    blocks
}

/// Fails unless the blocks of the page begin with these lines.
#[track_caller]
pub(crate) fn assert_first_lines<'a>(page: &str, expected: impl ExactSizeIterator<Item = &'a str>) {
    let blocks = blocks(page);
    assert_eq!(blocks.len(), expected.len(), "{page}: the walk has another number of blocks");
    for (block, expected) in blocks.iter().zip(expected) {
        let (line, first) = (block.line, block.first_line());
        assert!(first.starts_with(expected), "{page}:{line}: is `{first}`, where the walk has `{expected}`");
    }
}

/// Writes a program.
pub(crate) fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
