//! Logins of docker and podman, end to end.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sampan_client::{ClientError, ClientOptions, Credentials, Problem};
use tempfile::TempDir;

use crate::server::{Reply, Server};
use crate::support::{Waits, options, repository};

/// A registry that reports the login in its error.
async fn registry() -> Server {
    Server::start(|seen| match seen.header("authorization") {
        Some("Basic YWxpY2U6aHVudGVyMg==") => Reply::new(200).json(r#"{"tags":[]}"#),
        _ => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
    })
    .await
}

async fn tags(server: &Server, folder: &Path) -> Result<(), ClientError> {
    let files = ["config.json", "auth.json"].map(|name| folder.join(name)).into();
    let options = ClientOptions { credentials: Credentials::files(files), ..options(&Waits::default()) };
    repository(server, options).tags().await.map(|_| ())
}

/// Writes a helper to `folder` and returns its name for a configuration, which no path limits.
fn helper(folder: &Path, script: &str) -> std::path::PathBuf {
    let path = folder.join("docker-credential-test");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn the_first_file_with_a_login_is_used() {
    let (server, folder) = (registry().await, TempDir::new().unwrap());
    let error = tags(&server, folder.path()).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::LoginRequired), "{error}");
    std::fs::write(folder.path().join("config.json"), r#"{"auths":{"other.example":{"auth":"eDp5"}}}"#)
        .unwrap();
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"YWxpY2U6aHVudGVyMg=="}}}}}}"#, server.address);
    std::fs::write(folder.path().join("auth.json"), login).unwrap();
    tags(&server, folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_an_error_only_when_a_login_is_wanted() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config.json"), "{\"auths\": hunter2").unwrap();
    let open = Server::start(|_| Reply::new(200).json(r#"{"tags":[]}"#)).await;
    tags(&open, folder.path()).await.unwrap();
    let error = tags(&registry().await, folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("config.json") && !error.contains("hunter2"), "{error}");
}

#[test]
fn helpers_are_asked_by_name_and_never_shown() {
    // The helper is found by `PATH`, so the test runs in a process of its own.
    if std::env::var_os("SAMPAN_CLIENT_HELPER").is_none() {
        for (script, expected) in [
            (
                r#"read server; test "$1" = get && test -n "$server" && echo '{"Username":"alice","Secret":"hunter2"}'"#,
                "ok",
            ),
            (r#"echo credentials not found in native keychain; exit 1"#, "requires a login"),
            (r#"echo '{"Username":"bob","Secret":"hunter2"}'"#, "refuses the credentials of bob"),
            (r#"echo hunter2; exit 1"#, "it ended with an error"),
            (r#"echo hunter2"#, "not the JSON of a credential"),
        ] {
            let folder = TempDir::new().unwrap();
            helper(folder.path(), script);
            let mut path = folder.path().as_os_str().to_owned();
            path.push(":/usr/bin:/bin");
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "credentials::helpers_are_asked_by_name_and_never_shown", "--nocapture"])
                .env("PATH", path)
                .env("SAMPAN_CLIENT_HELPER", expected)
                .status()
                .unwrap();
            assert!(status.success(), "{script}");
        }
        return;
    }
    let expected = std::env::var("SAMPAN_CLIENT_HELPER").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = runtime.block_on(async {
        let (server, folder) = (registry().await, TempDir::new().unwrap());
        std::fs::write(folder.path().join("config.json"), r#"{"credsStore":"test"}"#).unwrap();
        tags(&server, folder.path()).await.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    });
    assert!(shown.contains(&expected) && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_missing_helper_and_a_name_with_a_path_are_named() {
    for (name, reason) in [
        ("does-not-exist-anywhere", "docker-credential-does-not-exist"),
        ("../../bin/sh", "its name must be"),
    ] {
        let (server, folder) = (registry().await, TempDir::new().unwrap());
        std::fs::write(folder.path().join("config.json"), format!(r#"{{"credsStore":"{name}"}}"#)).unwrap();
        let error = tags(&server, folder.path()).await.unwrap_err();
        assert!(matches!(error.problem(), Problem::Credentials(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}
