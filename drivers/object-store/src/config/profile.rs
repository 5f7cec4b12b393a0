//! Credentials from AWS's shared file, `~/.aws/credentials`, as its SDKs read them.

use std::path::PathBuf;

/// A key pair, with a session token if it is temporary.
#[derive(Eq, PartialEq)]
pub(crate) struct KeyPair {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// The key pair of the profile that the environment names, or of `default`.
pub(crate) fn key_pair(env: impl Fn(&str) -> Option<String>) -> Option<KeyPair> {
    let file = match env("AWS_SHARED_CREDENTIALS_FILE") {
        Some(file) => PathBuf::from(file),
        None => PathBuf::from(env("HOME")?).join(".aws/credentials"),
    };
    let profile = env("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    parse(&std::fs::read_to_string(file).ok()?, &profile)
}

fn parse(text: &str, profile: &str) -> Option<KeyPair> {
    let mut current = "";
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            current = name.trim();
        } else if current == profile
            && let Some((key, value)) = line.split_once('=')
        {
            let value = Some(value.trim().to_owned());
            match key.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(KeyPair { id: id?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_asked_for_is_read() {
        let text = "[default]\naws_access_key_id = a\naws_secret_access_key=b\n# x\n[other]\n\
                    aws_access_key_id=c\naws_secret_access_key=d=\naws_session_token=e\n[half]\naws_access_key_id=f\n";
        let found = parse(text, "default").unwrap();
        assert_eq!((found.id.as_str(), found.secret.as_str(), found.token), ("a", "b", None));
        let found = parse(text, "other").unwrap();
        assert_eq!(
            (found.id.as_str(), found.secret.as_str(), found.token.as_deref()),
            ("c", "d=", Some("e"))
        );
        assert!(parse(text, "half").is_none());
        assert!(parse(text, "missing").is_none());
    }
}
