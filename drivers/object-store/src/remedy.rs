//! The errors of a start: the store's own words, and the remedy.

use object_store::Error as StoreError;
use sampan_driver::{BuildError, ErrorKind, with_causes};

use crate::error::kind_of;

/// The error of a start, with the store's own words and the remedy.
pub(crate) fn refused(name: &str, error: &StoreError) -> BuildError {
    let text = with_causes(error);
    // Without the URL, whose key may have any words.
    let words: Vec<&str> = text.split_whitespace().filter(|word| !word.contains("://")).collect();
    let answer = words.join(" ");
    let says = |signs: &[&str]| signs.iter().any(|sign| answer.contains(sign));
    let remedy = if says(&["NoSuchBucket", "ContainerNotFound", "bucket does not exist"]) {
        "there is no such bucket (container): create it, or correct its name"
    } else if says(&["RequestTimeTooSkewed", "skew"]) {
        "the clock of this machine and that of the store are too far apart: set the clock"
    } else if says(&[
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "incorrectly configured region",
        "IllegalLocation",
    ]) {
        "the bucket is in another region: correct `region` (or `regionendpoint`)"
    } else if says(&["SignatureDoesNotMatch"]) {
        "the secret does not belong to the access key (or `region` is wrong)"
    } else if says(&["InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "AuthenticationFailed"]) {
        "the store does not know these credentials, or they have expired"
    } else if ["//169.254.169.254", "//169.254.170.2", "//metadata.google.internal"]
        .iter()
        .any(|host| text.contains(host))
    {
        "there are no credentials: configure them, set the environment, or run where the cloud provides them"
    } else if says(&["InvalidContentType", "corrupt message", "WRONG_VERSION_NUMBER"]) {
        "the endpoint does not speak TLS: write http:// in front of it, or set `secure: false`"
    } else if says(&[
        "HTTP request to an HTTPS",
        "HTTP request was sent to HTTPS",
        "invalid HTTP version",
        "IncompleteMessage",
        "connection closed before message completed",
    ]) {
        "the endpoint does not speak plain HTTP: write https:// in front of it, or correct its port"
    } else if says(&["invalid list response", "Unable to extract metadata from headers"]) {
        "the server at the endpoint is no S3: check the endpoint and its port"
    } else if says(&["certificate", "UnknownIssuer", "CaUsedAsEndEntity", "NotValidForName"]) {
        "the store's certificate is not trusted: set `cafile` to the authority's, install ca-certificates, or correct the host name"
    } else if says(&[
        "dns error",
        "failed to lookup",
        "Connection refused",
        "error trying to connect",
        "tcp connect",
    ]) {
        "the store cannot be reached: check the endpoint and the network"
    } else if says(&["timed out"]) {
        "the store does not answer: check the endpoint and the network"
    } else if kind_of(error) == ErrorKind::PermissionDenied {
        "the store refuses these credentials: they need to list, read, write and delete in this bucket"
    } else if kind_of(error) == ErrorKind::StorageFull {
        "the store is full, or a quota is exhausted: make room, or raise the quota"
    } else if says(&["status code: 301", "status code: 307"]) {
        "the store redirects the request: correct `region` or the endpoint"
    } else {
        "check the bucket, the endpoint, the region and the credentials"
    };
    BuildError::new(format!("storage.{name}: {remedy}; the store says: {text}"))
}

/// Whether a refusal is about the credentials or the clock, and not about the request.
pub(crate) fn is_about_credentials(error: &StoreError) -> bool {
    let text = with_causes(error);
    ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"]
        .iter()
        .any(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(answer: &str) -> String {
        let url = "http://127.0.0.1:1/registry/skew/301/certificate/!probe-3013070000301";
        let source =
            format!("Error performing PUT {url} in 1ms - Server returned non-2xx status code: {answer}");
        refused("s3", &StoreError::Generic { store: "S3", source: source.into() }).to_string()
    }

    #[test]
    fn remedies_follow_from_the_answer_and_not_from_the_key() {
        for (answer, remedy) in [
            ("301 Moved Permanently: ", "the store redirects"),
            ("307 Temporary Redirect: ", "the store redirects"),
            ("507 Insufficient Storage: ", "the store is full"),
            ("403 Forbidden: <Code>QuotaExceeded</Code>", "raise the quota"),
            ("418 I'm a teapot: ", "check the bucket"),
            ("400 Bad Request: <Code>ExpiredToken</Code>", "or they have expired"),
        ] {
            assert!(message(answer).contains(remedy), "{answer}: {}", message(answer));
        }
    }
}
