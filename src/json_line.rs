//! JSON as one line of a log, which a terminal shows as it is.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes JSON on one line of characters that can be seen. JSON itself escapes the control characters of ASCII alone; a
/// terminal obeys others, such as U+009B, and clients choose some of the texts.
pub(crate) fn json_line(json: &Value) -> String {
    let text = json.to_string();
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        // `escape_debug` knows what cannot be seen; of ASCII it escapes the marks of texts too.
        if (' '..='~').contains(&character) || character.escape_debug().len() == 1 {
            line.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(line, "\\u{unit:04x}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_and_is_read_again() {
        for (text, shown) in [
            (r#"plain "text" \ of 'marks'"#, r#""plain \"text\" \\ of 'marks'""#),
            ("香港 é 😀", r#""香港 é 😀""#),
            ("\u{1b}[31m\r\n", r#""\u001b[31m\r\n""#),
            ("\u{7f}\u{85}\u{9b}31m", r#""\u007f\u0085\u009b31m""#),
            ("a\u{202e}b\u{2066}\u{200b}\u{2028}", r#""a\u202eb\u2066\u200b\u2028""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
        ] {
            let json = json!(text);
            let line = json_line(&json);
            assert_eq!(line, shown);
            assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), json);
        }
    }
}
