//! Prints output and reads passwords.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

/// Why standard output does not have all that was printed.
static OUTPUT_FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line. A failure makes the command fail at its [end](output_failure).
pub(super) fn say(line: impl AsRef<str>) {
    printed(writeln!(io::stdout().lock(), "{}", line.as_ref()));
}

/// Records the failure of printing. A closed output (`| head`) does not count as a failure.
pub(super) fn printed(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        _ = OUTPUT_FAILED.set(error);
    }
}

/// The first failure of printing, such as a full disk.
pub(super) fn output_failure() -> Option<&'static io::Error> {
    printed(io::stdout().flush());
    OUTPUT_FAILED.get()
}

/// Formats a count with its noun: `1 blob`, `2 blobs`.
pub(super) fn count(number: u64, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {one}s"),
    }
}

/// Escapes control characters but for line feeds: a text from outside may have been made to confuse a terminal.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() && letter != '\n' {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Reads the first line of a password file.
pub(super) fn first_line(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the password from {}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Prompts for a password without echo, twice for a new one; reads the first line if standard input is not a
/// terminal.
pub(super) fn password(user: &str, is_new: bool) -> io::Result<Vec<u8>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut line = Vec::new();
        stdin.lock().read_until(b'\n', &mut line)?;
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        return Ok(line);
    }
    let password = rpassword::prompt_password(format!("Password of {user}: "))?;
    if is_new && rpassword::prompt_password("Repeat the password: ")? != password {
        return Err(io::Error::other("the passwords differ; nothing changed"));
    }
    Ok(password.into_bytes())
}

/// Asks a question on the terminal; any answer but `y` or `yes` is no.
pub(super) fn confirm(question: &str) -> bool {
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Prints a line to standard error.
pub(super) fn warn(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}

/// Shows progress in a line that the next one replaces, if standard error is a terminal.
pub(super) fn progress(text: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}
