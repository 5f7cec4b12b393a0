//! The table of keys, in the order in which `config show` prints them.

use std::path::PathBuf;

use super::{Choice, Key, Kind, leaf};
use crate::Version;
use crate::auth::{KeySetPlace, SigningAlgorithm};
use crate::http::{ClientAuth, Net, TlsVersion};
use crate::log::{LogFormatter, LogLevel};
use crate::policy::PlatformRule;
use crate::storage::DescriptorCacheKind;
use crate::values::{ByteSize, DailyWindow, ExternalUrl, ListenAddress, PathPrefix, Pattern, ProxyNetwork};

const TEXT: Kind = leaf::<String>();
const PATH: Kind = leaf::<PathBuf>();
const FLAG: Kind = leaf::<bool>();
const NUMBER: Kind = leaf::<i64>();
const COUNT: Kind = leaf::<usize>();
const TEXTS: Kind = Kind::List(&TEXT);
const PATHS: Kind = Kind::List(&PATH);
const PATTERNS: Kind = Kind::List(&leaf::<Pattern>());
const PROXIES: Kind = Kind::List(&leaf::<ProxyNetwork>());
const HEADERS: Kind = Kind::Map(&TEXTS);

/// The whole file.
pub(crate) const ROOT: Kind = Kind::Section(&[
    Key::new("version", leaf::<Version>()).or("0.1"),
    Key::new("log", Kind::Section(LOG)),
    Key::new("loglevel", leaf::<LogLevel>()),
    Key::new("storage", Kind::Choice(&STORAGE)),
    Key::new("gc", Kind::Section(GC)),
    Key::new("auth", Kind::Choice(&AUTH)).never_blank(
        "name how clients authenticate, such as `htpasswd`, or write `auth: none` (REGISTRY_AUTH=none) to let every client \
         in",
    ),
    Key::new("middleware", Kind::Optional(MIDDLEWARE)),
    Key::new("http", Kind::Section(HTTP)),
    Key::new("notifications", Kind::Optional(NOTIFICATIONS)),
    Key::new("redis", Kind::Optional(REDIS)),
    Key::new("health", Kind::Optional(HEALTH)),
    Key::new("catalog", Kind::Section(CATALOG)),
    Key::new("tags", Kind::Section(TAGS)),
    Key::new("proxy", Kind::Optional(PROXY)),
    Key::new("validation", Kind::Section(VALIDATION)),
    Key::new("policy", Kind::Section(POLICY)),
]);

pub(super) const LOG: &[Key] = &[
    Key::new("level", leaf::<LogLevel>()).or("info"),
    Key::new("formatter", leaf::<LogFormatter>()).or("text"),
    Key::new("fields", Kind::Map(&Kind::Any)),
    Key::new("reportcaller", FLAG).or("false"),
    Key::new("accesslog", Kind::Section(ACCESS_LOG)),
    Key::new("hooks", Kind::List(&Kind::Section(HOOK))),
];
pub(super) const ACCESS_LOG: &[Key] = &[Key::new("disabled", FLAG).or("false")];
pub(super) const HOOK: &[Key] = &[
    Key::new("disabled", FLAG).or("false"),
    Key::new("type", TEXT),
    Key::new("levels", TEXTS),
    Key::new("options", Kind::Optional(MAIL)).field("MAILOPTIONS"),
];
pub(super) const MAIL: &[Key] =
    &[Key::new("smtp", Kind::Optional(SMTP)), Key::new("from", TEXT), Key::new("to", TEXTS)];
pub(super) const SMTP: &[Key] = &[
    Key::new("addr", TEXT),
    Key::new("username", TEXT),
    Key::new("password", TEXT).secret(),
    Key::new("insecure", FLAG).or("false"),
];

/// `known` also lists drivers that other crates build, so that their variables match; `Drivers` knows which exist.
pub(crate) const STORAGE: Choice = Choice {
    helpers: STORAGE_HELPERS,
    known: &[
        Key::new("filesystem", Kind::Parameters(FILESYSTEM)),
        Key::new("inmemory", Kind::Parameters(INMEMORY)),
        Key::new("s3", Kind::Parameters(S3)),
        Key::new("s3aws", Kind::Parameters(S3)),
        Key::new("azure", Kind::Parameters(AZURE)),
        Key::new("gcs", Kind::Parameters(GCS)),
    ],
    open: true,
};
pub(super) const STORAGE_HELPERS: &[Key] = &[
    Key::new("delete", Kind::Section(DELETE)),
    Key::new("redirect", Kind::Section(REDIRECT)),
    Key::new("cache", Kind::Section(CACHE)),
    Key::new("tag", Kind::Section(TAG)),
    Key::new("maintenance", Kind::Section(MAINTENANCE)),
    // The old place of the section `gc`; `renew` moves it before every other stage.
    Key::new("gc", Kind::Optional(GC)),
];
pub(super) const DELETE: &[Key] = &[Key::new("enabled", FLAG).or("false")];
pub(super) const REDIRECT: &[Key] = &[Key::new("disable", FLAG).or("false")];
pub(super) const CACHE: &[Key] = &[
    Key::new("blobdescriptor", leaf::<DescriptorCacheKind>()),
    Key::new("layerinfo", leaf::<DescriptorCacheKind>()),
    Key::new("blobdescriptorsize", NUMBER).or("10000"),
];
pub(super) const TAG: &[Key] = &[Key::new("concurrencylimit", leaf::<u32>())];
pub(super) const MAINTENANCE: &[Key] = &[
    Key::new("uploadpurging", Kind::Section(UPLOAD_PURGING)),
    Key::new("readonly", Kind::Section(READ_ONLY)),
];
pub(super) const UPLOAD_PURGING: &[Key] = &[
    Key::new("enabled", FLAG).or("true"),
    Key::new("age", Kind::Duration).or("168h"),
    Key::new("interval", Kind::Duration).or("24h"),
    Key::new("dryrun", FLAG).or("false"),
];
pub(super) const READ_ONLY: &[Key] = &[Key::new("enabled", FLAG).or("false")];
/// At the top of the file, since Distribution refuses unknown keys of `storage`. Not in Distribution.
pub(super) const GC: &[Key] = &[
    Key::new("enabled", FLAG).or("false"),
    Key::new("interval", Kind::Duration).or("24h"),
    Key::new("window", leaf::<DailyWindow>()),
    Key::new("grace", Kind::Duration),
    Key::new("untagged", FLAG).or("false"),
    Key::new("maxdeletepercent", leaf::<u32>()).or("50"),
];

const fn parameter(name: &'static str) -> Key {
    Key::new(name, Kind::Any)
}

const FILESYSTEM: &[Key] = &[parameter("rootdirectory"), parameter("maxthreads")];
const INMEMORY: &[Key] = &[parameter("maxsize")];
const S3: &[Key] = &[
    parameter("accesskey"),
    parameter("secretkey"),
    parameter("region"),
    parameter("regionendpoint"),
    parameter("redirectendpoint"),
    parameter("forcepathstyle"),
    parameter("bucket"),
    parameter("encrypt"),
    parameter("keyid"),
    parameter("secure"),
    parameter("skipverify"),
    parameter("v4auth"),
    parameter("chunksize"),
    parameter("multipartcopychunksize"),
    parameter("multipartcopymaxconcurrency"),
    parameter("multipartcopythresholdsize"),
    parameter("rootdirectory"),
    parameter("storageclass"),
    parameter("useragent"),
    parameter("objectacl"),
    parameter("usedualstack"),
    parameter("accelerate"),
    parameter("usefipsendpoint"),
    parameter("loglevel"),
    parameter("cafile"),
    parameter("redirectexpiry"),
    parameter("uploadbuffer"),
];
const AZURE: &[Key] = &[
    parameter("accountname"),
    parameter("accountkey"),
    parameter("container"),
    parameter("connectionstring"),
    parameter("realm"),
    parameter("serviceurl"),
    parameter("rootdirectory"),
    Key::new("credentials", Kind::Parameters(AZURE_CREDENTIALS)),
    parameter("max_retries"),
    parameter("retry_delay"),
    parameter("skipverify"),
    parameter("cafile"),
    parameter("redirectexpiry"),
    parameter("uploadbuffer"),
];
const AZURE_CREDENTIALS: &[Key] =
    &[parameter("type"), parameter("clientid"), parameter("tenantid"), parameter("secret")];
const GCS: &[Key] = &[
    parameter("bucket"),
    parameter("keyfile"),
    // The fields of Google's key file, whose names hold underscores.
    Key::new("credentials", Kind::Map(&TEXT)),
    parameter("rootdirectory"),
    parameter("chunksize"),
    parameter("maxconcurrency"),
    parameter("useragent"),
    parameter("cafile"),
    parameter("redirectexpiry"),
    parameter("uploadbuffer"),
];

const AUTH: Choice = Choice {
    helpers: &[],
    known: &[
        Key::new("none", Kind::Any),
        Key::new("silly", Kind::Optional(SILLY)),
        Key::new("htpasswd", Kind::Optional(HTPASSWD)),
        Key::new("token", Kind::Optional(TOKEN)),
    ],
    open: false,
};
pub(super) const SILLY: &[Key] = &[Key::new("realm", TEXT), Key::new("service", TEXT)];
pub(super) const HTPASSWD: &[Key] = &[Key::new("realm", TEXT), Key::new("path", PATH)];
pub(super) const TOKEN: &[Key] = &[
    Key::new("realm", TEXT),
    Key::new("service", TEXT),
    Key::new("issuer", TEXT),
    Key::new("rootcertbundle", PATH),
    Key::new("jwks", leaf::<KeySetPlace>()),
    Key::new("jwksca", PATH),
    Key::new("jwksrefresh", Kind::Duration).or("5m"),
    Key::new("autoredirect", FLAG).or("false"),
    Key::new("autoredirectpath", TEXT).or("/auth/token"),
    Key::new("signingalgorithms", Kind::List(&leaf::<SigningAlgorithm>())),
];

const WRAPPERS: Kind = Kind::List(&Kind::Section(WRAPPER));
pub(super) const MIDDLEWARE: &[Key] =
    &[Key::new("registry", WRAPPERS), Key::new("repository", WRAPPERS), Key::new("storage", WRAPPERS)];
pub(super) const WRAPPER: &[Key] = &[
    Key::new("name", TEXT),
    Key::new("disabled", FLAG).or("false"),
    Key::new("options", Kind::Map(&Kind::Any)).secret(),
];

pub(super) const HTTP: &[Key] = &[
    Key::new("addr", leaf::<ListenAddress>()).or("':5000'"),
    Key::new("net", leaf::<Net>()).or("tcp"),
    Key::new("host", leaf::<ExternalUrl>()),
    Key::new("prefix", leaf::<PathPrefix>()).or("/"),
    Key::new("secret", TEXT).secret(),
    Key::new("relativeurls", FLAG).or("false"),
    Key::new("draintimeout", Kind::Duration).or("0s"),
    Key::new("tls", Kind::Optional(TLS)).never_blank(
        "give `certificate` and `key`, or remove the section and its variables to serve without TLS",
    ),
    Key::new("headers", HEADERS),
    Key::new("trustedproxies", PROXIES),
    Key::new("http2", Kind::Section(HTTP2)),
    Key::new("h2c", Kind::Section(H2C)),
    Key::new("debug", Kind::Optional(DEBUG)),
    Key::new("limits", Kind::Section(LIMITS)),
];
pub(super) const TLS: &[Key] = &[
    Key::new("certificate", PATH),
    Key::new("key", PATH),
    Key::new("clientcas", PATHS),
    Key::new("clientauth", leaf::<ClientAuth>()).or("require-and-verify-client-cert"),
    Key::new("minimumtls", leaf::<TlsVersion>()).or("tls1.2"),
    Key::new("ciphersuites", TEXTS),
    Key::new("letsencrypt", Kind::Optional(LETS_ENCRYPT)),
];
pub(super) const LETS_ENCRYPT: &[Key] = &[
    Key::new("cachefile", PATH),
    Key::new("email", TEXT),
    Key::new("hosts", TEXTS),
    Key::new("directoryurl", TEXT),
];
pub(super) const HTTP2: &[Key] = &[Key::new("disabled", FLAG).or("false")];
pub(super) const H2C: &[Key] = &[Key::new("enabled", FLAG).or("false")];
pub(super) const DEBUG: &[Key] = &[
    Key::new("addr", leaf::<ListenAddress>()),
    Key::new("hosts", TEXTS),
    Key::new("prometheus", Kind::Section(PROMETHEUS)),
];
pub(super) const PROMETHEUS: &[Key] = &[
    Key::new("enabled", FLAG).or("false"),
    Key::new("path", TEXT).or("/metrics"),
    Key::new("repositories", COUNT).or("0"),
];
/// Not in Distribution.
pub(super) const LIMITS: &[Key] = &[
    Key::new("headertimeout", Kind::Duration).or("30s"),
    Key::new("idletimeout", Kind::Duration).or("2m"),
    Key::new("readtimeout", Kind::Duration).or("1m"),
    Key::new("minbodyspeed", leaf::<ByteSize>()).or("1KiB"),
    Key::new("maxconnections", COUNT).or("4096"),
    Key::new("connectionsperaddress", COUNT).or("1024"),
    Key::new("maxmanifestsize", leaf::<ByteSize>()).or("4MiB"),
    Key::new("uploadsperaddress", COUNT).or("100"),
];

pub(super) const NOTIFICATIONS: &[Key] = &[
    Key::new("events", Kind::Section(EVENTS)).field("EVENTCONFIG"),
    Key::new("endpoints", Kind::List(&Kind::Section(ENDPOINT))),
    Key::new("queue", Kind::Section(QUEUE)),
];
/// Not in Distribution, which keeps events in memory without a bound.
pub(super) const QUEUE: &[Key] =
    &[Key::new("directory", PATH), Key::new("maxsize", leaf::<ByteSize>()).or("64MiB")];
pub(super) const EVENTS: &[Key] = &[Key::new("includereferences", FLAG).or("false")];
pub(super) const ENDPOINT: &[Key] = &[
    Key::new("name", TEXT),
    Key::new("disabled", FLAG).or("false"),
    Key::new("url", TEXT),
    Key::new("headers", HEADERS).secret(),
    Key::new("timeout", Kind::Duration).or("1s"),
    Key::new("threshold", NUMBER).or("10"),
    Key::new("backoff", Kind::Duration).or("1s"),
    Key::new("ignoredmediatypes", TEXTS),
    Key::new("ignore", Kind::Section(IGNORE)),
    Key::new("secret", TEXT).secret(),
];
pub(super) const IGNORE: &[Key] = &[Key::new("mediatypes", TEXTS), Key::new("actions", TEXTS)];

pub(super) const REDIS: &[Key] = &[
    Key::new("", Kind::Any).field("OPTIONS"),
    Key::new("addrs", TEXTS),
    Key::new("clientname", TEXT),
    Key::new("db", NUMBER),
    Key::new("protocol", NUMBER),
    Key::new("username", TEXT),
    Key::new("password", TEXT).secret(),
    Key::new("sentinelusername", TEXT),
    Key::new("sentinelpassword", TEXT).secret(),
    Key::new("mastername", TEXT),
    Key::new("maxretries", NUMBER),
    Key::new("minretrybackoff", Kind::Duration),
    Key::new("maxretrybackoff", Kind::Duration),
    Key::new("dialtimeout", Kind::Duration),
    Key::new("readtimeout", Kind::Duration),
    Key::new("writetimeout", Kind::Duration),
    Key::new("contexttimeoutenabled", FLAG),
    Key::new("poolfifo", FLAG),
    Key::new("poolsize", NUMBER),
    Key::new("pooltimeout", Kind::Duration),
    Key::new("minidleconns", NUMBER),
    Key::new("maxidleconns", NUMBER),
    Key::new("maxactiveconns", NUMBER),
    Key::new("connmaxidletime", Kind::Duration),
    Key::new("connmaxlifetime", Kind::Duration),
    Key::new("maxredirects", NUMBER),
    Key::new("readonly", FLAG),
    Key::new("routebylatency", FLAG),
    Key::new("routerandomly", FLAG),
    Key::new("disableidentity", FLAG),
    Key::new("identitysuffix", TEXT),
    Key::new("unstableresp3", FLAG),
    Key::new("tls", Kind::Optional(REDIS_TLS)).never_blank(
        "give `rootcas`, the authorities of the server, or remove the section and its variables to connect without TLS",
    ),
];
pub(super) const REDIS_TLS: &[Key] =
    &[Key::new("certificate", PATH), Key::new("key", PATH), Key::new("rootcas", PATHS)];

const THRESHOLD: Key = Key::new("threshold", NUMBER).or("0");
const INTERVAL: Key = Key::new("interval", Kind::Duration).or("10s");
const TIMEOUT: Key = Key::new("timeout", Kind::Duration).or("0s");
pub(super) const HEALTH: &[Key] = &[
    Key::new("storagedriver", Kind::Section(HEALTH_STORAGE)),
    Key::new("diskspace", Kind::Section(HEALTH_DISK_SPACE)),
    Key::new("file", Kind::List(&Kind::Section(HEALTH_FILE))).field("FILECHECKERS"),
    Key::new("http", Kind::List(&Kind::Section(HEALTH_HTTP))).field("HTTPCHECKERS"),
    Key::new("tcp", Kind::List(&Kind::Section(HEALTH_TCP))).field("TCPCHECKERS"),
];
pub(super) const HEALTH_STORAGE: &[Key] = &[Key::new("enabled", FLAG).or("false"), INTERVAL, THRESHOLD];
/// Not in Distribution.
pub(super) const HEALTH_DISK_SPACE: &[Key] =
    &[Key::new("enabled", FLAG).or("false"), Key::new("floor", leaf::<ByteSize>()).or("1GiB"), INTERVAL];
pub(super) const HEALTH_FILE: &[Key] = &[Key::new("file", TEXT), INTERVAL, THRESHOLD];
pub(super) const HEALTH_HTTP: &[Key] = &[
    Key::new("uri", TEXT),
    Key::new("headers", HEADERS).secret(),
    Key::new("statuscode", leaf::<u16>()).or("200"),
    TIMEOUT,
    INTERVAL,
    THRESHOLD,
];
pub(super) const HEALTH_TCP: &[Key] = &[Key::new("addr", TEXT), TIMEOUT, INTERVAL, THRESHOLD];

pub(super) const CATALOG: &[Key] = &[Key::new("maxentries", NUMBER).or("1000")];
pub(super) const TAGS: &[Key] = &[Key::new("maxtags", NUMBER).or("1000")];

pub(super) const PROXY: &[Key] = &[
    Key::new("remoteurl", TEXT),
    Key::new("username", TEXT),
    Key::new("password", TEXT).secret(),
    Key::new("exec", Kind::Optional(EXEC)),
    Key::new("ttl", Kind::Duration).or("168h"),
    Key::new("cachewritetimeout", Kind::Duration).or("5m"),
];
pub(super) const EXEC: &[Key] = &[Key::new("command", TEXT), Key::new("lifetime", Kind::Duration).or("0s")];

pub(super) const VALIDATION: &[Key] = &[
    Key::new("enabled", FLAG).or("false"),
    Key::new("disabled", FLAG).or("false"),
    Key::new("manifests", Kind::Section(MANIFESTS)),
];
pub(super) const MANIFESTS: &[Key] =
    &[Key::new("urls", Kind::Section(URLS)), Key::new("indexes", Kind::Section(INDEXES))];
pub(super) const URLS: &[Key] =
    &[Key::new("allow", PATTERNS).verbatim(), Key::new("deny", PATTERNS).verbatim()];
pub(super) const INDEXES: &[Key] = &[
    Key::new("platforms", leaf::<PlatformRule>()).or("all"),
    Key::new("platformlist", Kind::List(&Kind::Section(PLATFORM))),
];
pub(super) const PLATFORM: &[Key] = &[Key::new("architecture", TEXT), Key::new("os", TEXT)];

pub(super) const POLICY: &[Key] = &[Key::new("repository", Kind::Section(REPOSITORY))];
pub(super) const REPOSITORY: &[Key] = &[Key::new("classes", TEXTS)];
