//! Formats an error with all its causes, for logs and the command line.

use std::error::Error;

/// Formats an error and all its causes on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // A wrapper often includes its cause's text.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("wrapper: {0}; try again")]
    struct Wrapper(#[source] std::io::Error);

    #[test]
    fn a_chain_contains_every_cause_once() {
        assert_eq!(with_causes(&Outer(std::io::Error::other("inner"))), "outer: inner");
        assert_eq!(with_causes(&Wrapper(std::io::Error::other("inner"))), "wrapper: inner; try again");
    }
}
