//! Docker's credential helpers: a program that gives the password of a registry (docker-credential-helpers, "Development").

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Credential, CredentialError, Secret};

/// The longest answer of a helper, in bytes, and the longest wait for it: it may ask a cloud.
const MAX_BYTES: u64 = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);

/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks `program` for the credential of `server`; `None` if it has none.
///
/// # Errors
///
/// The program is missing, fails, or answers something else. The error never shows its output.
pub(super) async fn get(program: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
    let is_name = program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_name {
        let problem = "its name must be letters, digits, `-`, `_` and `.`".to_owned();
        let (program, server) = (program.to_owned(), server.to_owned());
        return Err(CredentialError::Helper { program, server, problem });
    }
    run(program, server).await
}

/// The same for a program that the configuration names, which may be a path.
///
/// # Errors
///
/// As [`get`].
pub(super) async fn run(program: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
    let failed = |problem: String| CredentialError::Helper {
        program: program.to_owned(),
        server: server.to_owned(),
        problem,
    };
    match tokio::time::timeout(TIMEOUT, output(program, server)).await {
        Ok(Ok(Run { is_success: true, output })) => {
            let answer: Answer = serde_json::from_slice(&output)
                .map_err(|_| failed("its answer is not the JSON of a credential".to_owned()))?;
            let secret = Secret::new(answer.secret);
            Ok(Some(match answer.username.as_str() {
                TOKEN_USER => Credential::IdentityToken(secret),
                "" if secret.expose().is_empty() => return Ok(None),
                _ => Credential::Password { user: answer.username, password: secret },
            }))
        }
        Ok(Ok(Run { is_success: false, output })) if is_not_found(&output) => Ok(None),
        Ok(Ok(Run { .. })) => Err(failed("it ended with an error".to_owned())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

struct Run {
    is_success: bool,
    output: Vec<u8>,
}

async fn output(program: &str, server: &str) -> std::io::Result<Run> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input is judged by its answer.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_BYTES).read_to_end(&mut output).await?;
    }
    Ok(Run { is_success: child.wait().await?.success(), output })
}

/// Whether the helper says that it has no such login (docker-credential-helpers, `credentials/error.go`).
fn is_not_found(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    text == "credentials not found in native keychain" || text.starts_with("no credentials server URL")
}
