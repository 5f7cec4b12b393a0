//! `--help` of every command.

use crate::cli::support::{binary, end};

#[test]
fn the_help_of_every_command_is_as_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let mut todo = vec![Vec::new()];
    let mut text = String::new();
    while let Some(command) = todo.pop() {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let ended = end(binary(directory.path()).args(&args).arg("--help"), "");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        text.push_str(&format!(
            "$ registry {}\n\n{}\n",
            [&args[..], &["--help"]].concat().join(" "),
            ended.stdout
        ));
        let mut below = subcommands(&ended.stdout);
        below.retain(|name| name != "help");
        below.reverse();
        todo.extend(below.into_iter().map(|name| [&command[..], &[name]].concat()));
    }
    // Every line of blanks of clap's is one that editors would take away.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    super::check("help.txt", &(lines.join("\n") + "\n"));
}

/// The names in the list of commands.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    // The rest of a long description is indented further.
    let names =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}
