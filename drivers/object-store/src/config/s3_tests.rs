//! Tests of the section `s3`: parsing, defaults and refusals.

use super::*;

fn parse(extra: &str) -> Result<S3Config, serde_json::Error> {
    let text =
        format!(r#"{{"region": "eu-west-1", "bucket": "reg", "accesskey": "a", "secretkey": "b"{extra}}}"#);
    serde_json::from_str(&text)
}

fn plan(extra: &str) -> Result<Plan, BuildError> {
    parse(extra).unwrap().plan("s3", |_| None)
}

#[test]
fn values_are_taken_as_distribution_takes_them() {
    let config =
        parse(r#", "secure": "false", "chunksize": "10485760", "encrypt": true, "keyid": null"#).unwrap();
    assert_eq!((config.secure, config.chunksize, config.encrypt), (Some(false), Some(10 << 20), Some(true)));
    assert!(!format!("{config:?}").contains('b'.to_string().repeat(2).as_str()));
    assert!(format!("{config:?}").contains("***"));
    let error = parse(r#", "buckett": "x""#).unwrap_err().to_string();
    assert!(error.contains("buckett"), "{error}");
}

/// As Distribution takes them, `off` without quotes included.
#[test]
fn words_are_read_in_any_case_and_flags_in_any_spelling_of_go() {
    for level in ["false", r#""off""#, r#""OFF""#] {
        let config = parse(&format!(r#", "loglevel": {level}"#)).unwrap();
        assert!(!config.logs_requests("s3").unwrap(), "{level}");
    }
    assert!(parse(r#", "loglevel": "DEBUG""#).unwrap().logs_requests("s3").unwrap());
    assert_eq!(
        plan(r#", "storageclass": "standard_ia""#).unwrap().options.storage_class.as_deref(),
        Some("STANDARD_IA")
    );
    assert_eq!(plan(r#", "storageclass": "none""#).unwrap().options.storage_class, None);
    for (text, value) in [("1", true), ("t", true), ("TRUE", true), ("0", false), ("F", false)] {
        let config = parse(&format!(r#", "secure": "{text}""#)).unwrap();
        assert_eq!(config.secure, Some(value), "{text}");
    }
    for other in [r#""yes""#, "1"] {
        assert!(parse(&format!(r#", "secure": {other}"#)).is_err(), "{other}");
    }
}

#[test]
fn a_store_with_an_endpoint_of_its_own_needs_no_region() {
    let text = r#"{"bucket": "reg", "accesskey": "a", "secretkey": "b", "forcepathstyle": true,
                   "regionendpoint": "http://minio:9000"}"#;
    let config: S3Config = serde_json::from_str(text).unwrap();
    config.plan("s3", |_| None).map(drop).unwrap();
}

#[test]
fn more_copies_at_a_time_than_are_sensible_are_fewer() {
    let plan = plan(r#", "multipartcopymaxconcurrency": 100000"#).unwrap();
    assert_eq!(plan.options.copies.concurrency, 1000);
    let parsed = parse(r#", "multipartcopymaxconcurrency": 0"#).unwrap();
    assert!(parsed.plan("s3", |_| None).is_err());
}

#[test]
fn the_defaults_make_a_plan() {
    let plan = plan("").unwrap();
    assert!(plan.redirect && plan.public.is_none() && plan.raw.is_some());
    assert_eq!(plan.options.parts.size, 10 << 20);
    assert_eq!(plan.options.storage_class, None);
}

#[test]
fn what_cannot_be_done_is_said() {
    for (extra, expected) in [
        (r#", "v4auth": "false""#, "version 2"),
        (r#", "objectacl": "public-read""#, "always private"),
        (r#", "keyid": "k""#, "encrypt: true"),
        (r#", "chunksize": 5000000"#, "storage.s3.chunksize"),
        (r#", "storageclass": "COLD""#, "storage.s3.storageclass"),
        (r#", "loglevel": "debugwithsigning""#, "storage.s3.loglevel"),
        (r#", "rootdirectory": "a//b""#, "storage.s3.rootdirectory"),
        (r#", "redirectexpiry": "8h90000m""#, "storage.s3.redirectexpiry"),
        (r#", "cafile": "/does/not/exist.pem""#, "/does/not/exist.pem"),
        (r#", "regionendpoint": "http://127.0.0.1:1""#, "forcepathstyle"),
        (r#", "regionendpoint": "http://user:hidden@host:1", "forcepathstyle": true"#, "user or password"),
        (r#", "regionendpoint": "user:hidden@host:1", "forcepathstyle": true"#, "user or password"),
    ] {
        let error = plan(extra).err().unwrap_or_else(|| panic!("{extra} was accepted")).to_string();
        assert!(!error.contains("hidden"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    for missing in ["region", "bucket", "secretkey"] {
        let all = [("region", "r"), ("bucket", "b"), ("accesskey", "a"), ("secretkey", "s")];
        let rest: Vec<String> = all
            .iter()
            .filter(|(key, _)| *key != missing)
            .map(|(key, value)| format!("{key:?}: {value:?}"))
            .collect();
        let config: S3Config = serde_json::from_str(&format!("{{{}}}", rest.join(","))).unwrap();
        let error = config.plan("s3", |_| None).err().unwrap().to_string();
        assert!(error.contains(missing), "{error}");
    }
}
