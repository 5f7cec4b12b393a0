//! Settings that leave the registry open: allowed, and reported at the start and by `config check`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sampan_config::{AuthConfig, Diagnostic, HttpConfig, KeySetPlace, ListenAddress, Loaded, Node, Origin};

use super::signing_key;

/// A warning with a remedy for each way in which strangers get access or learn a secret.
pub(super) fn warnings(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    found.extend(strangers(loaded));
    found.extend(secret_files(loaded).into_iter().filter_map(readable_by_everybody));
    found
}

/// A warning for each file of the caches that cannot be used: a request would be the first to tell.
pub(super) fn unusable_files(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut found = unreadable_accounts(loaded);
    found.extend(unusable_spool(loaded));
    found
}

/// A warning if `proxy.spool` is no directory that exists.
fn unusable_spool(loaded: &Loaded) -> Option<Diagnostic> {
    const KEY: &str = "proxy.spool";
    let spool = loaded.config.proxy.as_ref()?.spool.as_deref()?;
    let problem = match fs::metadata(spool) {
        Ok(metadata) if metadata.is_dir() => return None,
        Ok(_) => "it is no directory".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!(
        "{} cannot be used ({problem}), so clients wait until a blob is stored, and get none that the store does not take: create \
         it, or choose another one",
        spool.display()
    );
    let origin = loaded.tree.at(KEY).map_or(&loaded.tree.origin, |node| &node.origin);
    Some(Diagnostic { origin: origin.clone(), path: KEY.to_owned(), message })
}

/// A warning for each file with an account at an upstream that cannot be read.
fn unreadable_accounts(loaded: &Loaded) -> Vec<Diagnostic> {
    let is_account = |file: &SecretFile| {
        let path = &file.named_by.path;
        path.ends_with(".passwordfile") || path.ends_with(".dockerconfig")
    };
    let unreadable = |file: SecretFile| {
        let problem = match fs::metadata(&file.path) {
            Ok(metadata) if !metadata.is_file() => "it is no file".to_owned(),
            Ok(_) => fs::File::open(&file.path).err()?.to_string(),
            Err(error) => error.to_string(),
        };
        let message = format!(
            "{} cannot be read ({problem}), so nothing can be fetched with this account",
            file.path.display()
        );
        Some(Diagnostic { message, ..file.named_by })
    };
    secret_files(loaded).into_iter().filter(is_account).filter_map(unreadable).collect()
}

/// Warns if other machines have access without a password, or with a password in the clear.
fn strangers(loaded: &Loaded) -> Option<Diagnostic> {
    let (http, storage) = (&loaded.config.http, &loaded.config.storage);
    if is_local(&http.addr) {
        return None;
    }
    let auth = loaded.tree.entry("auth").map(|entry| &entry.value);
    let origin = auth.map_or(&loaded.tree.origin, |auth| &auth.origin);
    let open = format!("{} can be reached from other machines", http.addr);
    let message = match &loaded.config.auth {
        // An explicit `auth: none` is intended.
        AuthConfig::None if auth.is_some_and(is_chosen) => return None,
        AuthConfig::None => {
            let may = match (storage.maintenance.readonly.enabled, storage.delete.enabled) {
                (true, _) => "pull everything",
                (false, true) => "push to everything and delete it",
                (false, false) => "push to everything",
            };
            format!(
                "is not set, and {open}, whose users may {may} without a password: choose `htpasswd` or `token`, listen at \
                 127.0.0.1, or write `auth: none` if that is meant"
            )
        }
        AuthConfig::Silly(_) => format!(
            "accepts any `Authorization` header, and {open}: it is for tests; choose `htpasswd` or `token`, or listen at \
             127.0.0.1"
        ),
        AuthConfig::Htpasswd(_) if http.tls.is_none() && !is_behind_a_proxy(http) => format!(
            "passwords cross the network in the clear, since {open} without TLS: set `http.tls`; or, behind a proxy that \
             speaks it, `http.host: https://…` or `http.trustedproxies`"
        ),
        AuthConfig::Htpasswd(_) | AuthConfig::Token(_) => return None,
    };
    Some(Diagnostic { origin: place(origin, loaded), path: "auth".to_owned(), message })
}

/// A default has no place, so the message names the file.
fn place(origin: &Origin, loaded: &Loaded) -> Origin {
    match origin {
        Origin::Default => loaded.tree.origin.clone(),
        written => written.clone(),
    }
}

fn is_chosen(auth: &Node) -> bool {
    auth.entry("none").is_some_and(|none| none.key_origin != Origin::Default)
}

fn is_local(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Unix(_) => true,
        ListenAddress::Tcp { host: None, .. } => false,
        ListenAddress::Tcp { host: Some(host), .. } => match host.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        },
    }
}

fn is_behind_a_proxy(http: &HttpConfig) -> bool {
    !http.trustedproxies.is_empty()
        || http.host.as_ref().is_some_and(|host| host.as_url().scheme() == "https")
}

/// A secret file, and the setting that names it.
struct SecretFile {
    named_by: Diagnostic,
    path: PathBuf,
}

fn secret_files(loaded: &Loaded) -> Vec<SecretFile> {
    let config = &loaded.config;
    let mut files = Vec::new();
    let mut add = |key: &str, path: &Path| {
        let node = loaded.tree.at(key);
        let origin = node.map_or(&loaded.tree.origin, |node| &node.origin);
        let named_by =
            Diagnostic { origin: origin.clone(), path: key.to_owned(), message: "the file".to_owned() };
        files.push(SecretFile { named_by, path: path.to_owned() });
    };
    if let Some(tls) = &config.http.tls {
        add("http.tls.key", tls.key.as_path());
    }
    if let Some(key) = config.redis.as_ref().and_then(|redis| redis.tls.as_ref()?.key.as_deref()) {
        add("redis.tls.key", key);
    }
    match &config.auth {
        AuthConfig::Htpasswd(htpasswd) => add("auth.htpasswd.path", &htpasswd.path),
        AuthConfig::Token(token) => {
            // Other sets hold public keys only.
            let has_secrets = token.signingalgorithms.iter().any(|algorithm| algorithm.is_symmetric());
            if let (Some(KeySetPlace::File(path)), true) = (&token.jwks, has_secrets) {
                add("auth.token.jwks", path);
            }
        }
        AuthConfig::None | AuthConfig::Silly(_) => {}
    }
    let signing_key = config.access.as_ref().and_then(|_| signing_key(config));
    if let Some(path) = &signing_key {
        add("access.tokens.signingkey", path);
    }
    for (index, upstream) in config.proxy.iter().flat_map(|proxy| proxy.upstreams.iter().enumerate()) {
        for (key, path) in [
            ("passwordfile", &upstream.passwordfile),
            ("dockerconfig", &upstream.dockerconfig),
            ("clientkey", &upstream.clientkey),
        ] {
            if let Some(path) = path {
                add(&format!("proxy.upstreams[{index}].{key}"), path);
            }
        }
    }
    if let Some(path) = loaded.tree.at("storage.gcs.keyfile").and_then(Node::as_text) {
        add("storage.gcs.keyfile", Path::new(path));
    }
    if let (Some(path), Some(secret)) = (loaded.source.path(), loaded.secret_in_file()) {
        let named_by = Diagnostic { message: "this file holds a secret and".to_owned(), ..secret };
        files.push(SecretFile { named_by, path: path.to_owned() });
    }
    files
}

/// A file that cannot be inspected is reported by its user.
fn readable_by_everybody(file: SecretFile) -> Option<Diagnostic> {
    const OTHERS_READ: u32 = 0o004;
    let metadata = fs::metadata(&file.path).ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & OTHERS_READ == 0 {
        return None;
    }
    let path = file.path.display();
    let message = format!(
        "{} can be read by every user of this machine: chmod o-r {path}, and give it to the user of the registry",
        file.named_by.message
    );
    Some(Diagnostic { message, ..file.named_by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_config::{Config, Environment, Source};

    fn texts(text: &str) -> Vec<String> {
        let source = Source::Text { name: "config.yml".to_owned(), text: format!("version: 0.1\n{text}\n") };
        let loaded = Config::load(source, &Environment::default()).unwrap();
        warnings(&loaded).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_leaves_the_registry_open_to_other_machines_is_told() {
        let silly = "auth: { silly: { realm: r, service: s } }";
        let htpasswd = "auth: { htpasswd: { realm: r, path: /nowhere } }";
        for (text, expected) in [
            ("storage: inmemory", "config.yml:1:1: auth: is not set, and :5000 can be reached"),
            (
                "storage: { inmemory: {}, delete: { enabled: true } }",
                "may push to everything and delete it without a password",
            ),
            (
                "storage: { inmemory: {}, maintenance: { readonly: { enabled: true } } }",
                "may pull everything without",
            ),
            (
                &format!("storage: inmemory\n{silly}"),
                "config.yml:3:7: auth: accepts any `Authorization` header, and :5000",
            ),
            (
                &format!("storage: inmemory\n{htpasswd}\nhttp: {{ addr: '0.0.0.0:80' }}"),
                "config.yml:3:7: auth: passwords cross the network in the clear, since 0.0.0.0:80 can be reached",
            ),
        ] {
            let found = texts(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        }
    }

    #[test]
    fn what_is_closed_or_meant_to_be_open_needs_no_word() {
        let htpasswd = "storage: inmemory\nauth: { htpasswd: { realm: r, path: /nowhere } }";
        for text in [
            "storage: inmemory\nauth: none",
            "storage: inmemory\nhttp: { addr: 'localhost:5000' }",
            "storage: inmemory\nhttp: { addr: '[::1]:5000' }",
            "storage: inmemory\nhttp: { net: unix, addr: /run/registry.sock }",
            &format!("{htpasswd}\nhttp: {{ tls: {{ certificate: /c, key: /nowhere }} }}"),
            &format!("{htpasswd}\nhttp: {{ host: 'https://registry.example.com' }}"),
            &format!("{htpasswd}\nhttp: {{ trustedproxies: [10.0.0.0/8] }}"),
        ] {
            assert_eq!(texts(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn files_of_accounts_at_upstreams_that_everybody_may_read_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let text = format!(
            "storage: inmemory\nauth: none\nproxy:\n  upstreams:\n    - {{ name: a, url: 'https://a.example', username: u, \
             passwordfile: {}, clientcertificate: /c, clientkey: {} }}\n    - {{ name: b, url: 'https://b.example', \
             dockerconfig: {} }}",
            path("password").display(),
            path("key").display(),
            path("config.json").display()
        );
        for mode in [0o644, 0o640] {
            for name in ["password", "key", "config.json"] {
                fs::write(path(name), "").unwrap();
                fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
            }
            let found = texts(&text);
            let keys = ["upstreams[0].passwordfile", "upstreams[0].clientkey", "upstreams[1].dockerconfig"];
            let expected = if mode == 0o644 { &keys[..] } else { &[] };
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (diagnostic, key) in found.iter().zip(expected) {
                assert!(
                    diagnostic.contains(&format!("proxy.{key}: the file can be read by every user")),
                    "{diagnostic}"
                );
            }
        }
    }

    #[test]
    fn files_of_accounts_at_upstreams_that_cannot_be_read_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let (missing, folder) = (directory.path().join("missing"), directory.path());
        let text = format!(
            "version: 0.1\nstorage: inmemory\nproxy:\n  upstreams:\n    - {{ name: a, url: 'https://a.example', username: u, \
             passwordfile: {} }}\n    - {{ name: b, url: 'https://b.example', dockerconfig: {} }}\n",
            missing.display(),
            folder.display()
        );
        let source = Source::Text { name: "config.yml".to_owned(), text };
        let loaded = Config::load(source, &Environment::default()).unwrap();
        let found: Vec<String> = unreadable_accounts(&loaded).iter().map(ToString::to_string).collect();
        let expected = [
            format!("proxy.upstreams[0].passwordfile: {} cannot be read (No such file", missing.display()),
            format!("proxy.upstreams[1].dockerconfig: {} cannot be read (it is no file)", folder.display()),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(&expected).all(|(found, part)| found.contains(part)), "{found:?}");
    }

    #[test]
    fn a_directory_for_transfers_that_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (missing, file) = (directory.path().join("missing"), directory.path().join("file"));
        fs::write(&file, "").unwrap();
        for (spool, expected) in [
            (&missing, Some("cannot be used (No such file")),
            (&file, Some("cannot be used (it is no directory)")),
            (&directory.path().to_owned(), None),
        ] {
            let text = format!(
                "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: /r }} }}\nproxy: {{ remoteurl: 'https://a.example', spool: {} }}\n",
                spool.display()
            );
            let source = Source::Text { name: "config.yml".to_owned(), text };
            let loaded = Config::load(source, &Environment::default()).unwrap();
            let found: Vec<String> = unusable_files(&loaded).iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with("config.yml:3:") && found.contains(expected), "{found}");
            }
        }
    }

    #[test]
    fn files_of_secrets_that_everybody_may_read_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let set_mode = |mode: u32| {
            for name in ["domain.key", "htpasswd", "config.yml"] {
                fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
            }
        };
        let text = format!(
            "version: 0.1\nstorage: {{ s3: {{ bucket: b, secretkey: hush }} }}\nauth: {{ htpasswd: {{ realm: r, path: {} }} }}\n\
             http: {{ tls: {{ certificate: /c, key: {} }} }}\n",
            path("htpasswd").display(),
            path("domain.key").display()
        );
        for name in ["domain.key", "htpasswd"] {
            fs::write(path(name), "").unwrap();
        }
        fs::write(path("config.yml"), &text).unwrap();
        let load = || Config::load(Source::Argument(path("config.yml")), &Environment::default()).unwrap();
        set_mode(0o644);
        let found: Vec<String> = warnings(&load()).iter().map(ToString::to_string).collect();
        let expected = [
            ("http.tls.key: the file can be read", "domain.key"),
            ("auth.htpasswd.path: the file can be read", "htpasswd"),
            ("config.yml:2:40: storage.s3.secretkey: this file holds a secret and can be read", "config.yml"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (diagnostic, (what, file)) in found.iter().zip(expected) {
            let remedy = format!("chmod o-r {}", path(file).display());
            assert!(diagnostic.contains(what) && diagnostic.contains(&remedy), "{diagnostic}");
        }
        set_mode(0o640);
        assert!(warnings(&load()).is_empty());
        // Without the secret, the file may be readable by all users.
        fs::write(path("config.yml"), text.replace(", secretkey: hush", "")).unwrap();
        fs::set_permissions(path("config.yml"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(warnings(&load()).is_empty());
    }
}
