//! Printing, and asking for passwords.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

/// Prints a line. A reader that has gone away (`| head`) is not an error.
pub(super) fn say(line: impl AsRef<str>) {
    let _ = writeln!(io::stdout().lock(), "{}", line.as_ref());
}

/// So many of something: `1 blob`, `2 blobs`.
pub(super) fn count(number: u64, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {one}s"),
    }
}

/// The first line of a file with a password.
pub(super) fn first_line(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the password cannot be read from {}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Asks for a password without showing it, twice when it is a new one; or takes the first line of standard input.
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
    if is_new && rpassword::prompt_password("The same again: ")? != password {
        return Err(io::Error::other("the two passwords differ; nothing was changed"));
    }
    Ok(password.into_bytes())
}

/// Prints a line to standard error.
pub(super) fn warn(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}

/// Shows what is going on in a line that the next one replaces, if somebody is looking.
pub(super) fn progress(text: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}
