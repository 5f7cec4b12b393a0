//! Credentials from AWS's shared file, `~/.aws/credentials`, as its SDKs read them.
//!
//! Temporary keys expire, and a tool of the operator writes new ones into the file. So the file is read again when it has
//! changed.

use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A profile in the shared file, and its key pair, with a session token if that is temporary.
#[derive(Debug)]
pub(crate) struct Profile {
    file: PathBuf,
    name: String,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    pair: Arc<AwsCredential>,
    version: Option<Version>,
    /// The time of the last look at the file.
    looked: Instant,
}

/// The length and the date of the file.
type Version = (u64, Option<SystemTime>);

impl Profile {
    /// The profile that the environment names, or `default`; `None` if the file has no key pair for it.
    pub(crate) fn find(env: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let file = match env("AWS_SHARED_CREDENTIALS_FILE") {
            Some(file) => PathBuf::from(file),
            None => PathBuf::from(env("HOME")?).join(".aws/credentials"),
        };
        let name = env("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        // Before the content: a change in between is read again.
        let version = std::fs::metadata(&file).ok().map(|file| version(&file));
        let pair = parse(&std::fs::read_to_string(&file).ok()?, &name)?;
        let known = Known { pair: Arc::new(pair), version, looked: Instant::now() };
        Some(Self { file, name, known: Mutex::new(known) })
    }

    /// Reads the file if it is no longer `known`; keeps the old key pair while the file has none.
    async fn read_unless(&self, known: Option<Version>) {
        let (file, name) = (self.file.clone(), self.name.clone());
        let read = tokio::task::spawn_blocking(move || {
            let version = version(&std::fs::metadata(&file).ok()?);
            if Some(version) == known {
                return None;
            }
            Some((version, parse(&std::fs::read_to_string(&file).ok()?, &name)))
        });
        match read.await {
            Ok(Some((version, Some(pair)))) => {
                let mut known = self.known.lock();
                known.version = Some(version);
                known.pair = Arc::new(pair);
            }
            Ok(Some((version, None))) => {
                self.known.lock().version = Some(version);
                tracing::warn!(
                    file = %self.file.display(),
                    profile = self.name,
                    "the shared credentials file no longer has keys for the profile; the previous keys stay in use"
                );
            }
            Ok(None) | Err(_) => {}
        }
    }
}

#[async_trait]
impl CredentialProvider for Profile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let old = {
            let mut known = self.known.lock();
            let is_due = known.looked.elapsed() >= CHECK_INTERVAL;
            if is_due {
                known.looked = Instant::now();
            }
            is_due.then_some(known.version)
        };
        if let Some(version) = old {
            self.read_unless(version).await;
        }
        Ok(self.known.lock().pair.clone())
    }
}

fn version(file: &Metadata) -> Version {
    (file.len(), file.modified().ok())
}

/// The least time between two looks at the file.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

fn parse(text: &str, profile: &str) -> Option<AwsCredential> {
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
    Some(AwsCredential { key_id: id?, secret_key: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_asked_for_is_read() {
        let text = "[default]\naws_access_key_id = a\naws_secret_access_key=b\n# x\n[other]\n\
                    aws_access_key_id=c\naws_secret_access_key=d=\naws_session_token=e\n[half]\naws_access_key_id=f\n";
        let found = parse(text, "default").unwrap();
        assert_eq!((found.key_id.as_str(), found.secret_key.as_str(), found.token), ("a", "b", None));
        let found = parse(text, "other").unwrap();
        assert_eq!(
            (found.key_id.as_str(), found.secret_key.as_str(), found.token.as_deref()),
            ("c", "d=", Some("e"))
        );
        assert!(parse(text, "half").is_none());
        assert!(parse(text, "missing").is_none());
    }

    /// As a tool that renews temporary keys does; while it writes, the file may lack them.
    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let pair = |id: &str| format!("[default]\naws_access_key_id={id}\naws_secret_access_key=s\n");
        let env =
            |name: &str| (name == "AWS_SHARED_CREDENTIALS_FILE").then(|| file.to_str().unwrap().to_owned());
        write(&pair("first"));
        let profile = Profile::find(env).unwrap();
        let id = async || profile.get_credential().await.unwrap().key_id.clone();
        write(&pair("second"));
        assert_eq!(id().await, "first", "not at each request");
        for (text, expected) in
            [(pair("second"), "second"), (String::new(), "second"), (pair("the third"), "the third")]
        {
            write(&text);
            tokio::time::advance(CHECK_INTERVAL).await;
            assert_eq!(id().await, expected);
        }
        std::fs::remove_file(&file).unwrap();
        tokio::time::advance(CHECK_INTERVAL).await;
        assert_eq!(id().await, "the third");
    }
}
