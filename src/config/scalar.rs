//! The meaning of a plain YAML scalar, by the rules of YAML 1.1 as Go's yaml.v2 reads them.
//!
//! The rules apply to flags, to numbers, and to values without an expected type. Text keeps its spelling, so that `version:
//! 0.1` needs no quotes.

/// The meaning of a scalar without quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PlainScalar {
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
pub(crate) fn resolve(text: &str) -> PlainScalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => PlainScalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            PlainScalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            PlainScalar::Bool(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => PlainScalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => PlainScalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => PlainScalar::Float(f64::NAN),
        _ => resolve_number(text),
    }
}

fn resolve_number(text: &str) -> PlainScalar {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return PlainScalar::Text;
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return PlainScalar::Int(number);
    }
    // Rust also reads `inf` and `infinity`, which YAML does not.
    let is_float =
        digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    match digits.parse() {
        Ok(number) if is_float => PlainScalar::Float(number),
        _ => PlainScalar::Text,
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
            ("", PlainScalar::Null),
            ("~", PlainScalar::Null),
            ("yes", PlainScalar::Bool(true)),
            ("off", PlainScalar::Bool(false)),
            ("True", PlainScalar::Bool(true)),
            ("5000", PlainScalar::Int(5000)),
            ("-1", PlainScalar::Int(-1)),
            ("1_000", PlainScalar::Int(1000)),
            ("0x1F", PlainScalar::Int(31)),
            ("010", PlainScalar::Int(8)),
            ("0", PlainScalar::Int(0)),
            ("0.1", PlainScalar::Float(0.1)),
            ("1e3", PlainScalar::Float(1000.0)),
            ("10s", PlainScalar::Text),
            (":5000", PlainScalar::Text),
            ("-", PlainScalar::Text),
            ("--5", PlainScalar::Text),
            ("+inf", PlainScalar::Text),
            ("tRUE", PlainScalar::Text),
            ("1.2.3.4", PlainScalar::Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text:?}");
        }
    }
}
