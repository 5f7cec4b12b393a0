//! The meaning of a plain YAML scalar, by the rules of YAML 1.1 as Go's yaml.v2 reads them.
//!
//! The rules apply to flags, to numbers, and to values without an expected type. Text keeps its spelling, so that `version:
//! 0.1` needs no quotes.

/// The meaning of a scalar without quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain {
    /// Nothing.
    Null,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Anything else.
    Text,
}

/// Reads an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Plain::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Plain::Bool(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Plain::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Plain::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
        _ => resolve_number(text),
    }
}

fn resolve_number(text: &str) -> Plain {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Plain::Text;
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Plain::Int(number);
    }
    // Rust also reads `inf` and `infinity`, which YAML does not.
    let is_float =
        digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    match digits.parse() {
        Ok(number) if is_float => Plain::Float(number),
        _ => Plain::Text,
    }
}

fn integer(text: &str) -> Option<i128> {
    let (negative, magnitude) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &magnitude[2..]),
        [b'0', b'o' | b'O', ..] => (8, &magnitude[2..]),
        [b'0', b'b' | b'B', ..] => (2, &magnitude[2..]),
        [b'0', _, ..] => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_the_meaning_of_yaml_1_1() {
        for (text, meaning) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("yes", Plain::Bool(true)),
            ("off", Plain::Bool(false)),
            ("True", Plain::Bool(true)),
            ("5000", Plain::Int(5000)),
            ("-1", Plain::Int(-1)),
            ("1_000", Plain::Int(1000)),
            ("0x1F", Plain::Int(31)),
            ("010", Plain::Int(8)),
            ("0", Plain::Int(0)),
            ("0.1", Plain::Float(0.1)),
            ("1e3", Plain::Float(1000.0)),
            ("10s", Plain::Text),
            (":5000", Plain::Text),
            ("-", Plain::Text),
            ("--5", Plain::Text),
            ("+inf", Plain::Text),
            ("tRUE", Plain::Text),
            ("1.2.3.4", Plain::Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text:?}");
        }
    }
}
