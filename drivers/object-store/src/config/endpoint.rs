//! The place of an S3 bucket: the URL of the endpoint, and whether its host name includes the bucket.

use std::net::IpAddr;

use sampan_driver::BuildError;
use url::Url;

/// The settings of a section for the place of the bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketLocation<'a> {
    pub(crate) section: &'static str,
    pub(crate) region: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) path_style: bool,
    pub(crate) secure: bool,
    pub(crate) dual_stack: bool,
    pub(crate) accelerate: bool,
    pub(crate) fips: bool,
}

/// An endpoint for the `object_store` crate, with the bucket in its host if `virtual_hosted` is set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) virtual_hosted: bool,
}

impl Endpoint {
    pub(crate) fn is_plain_http(&self) -> bool {
        self.url.starts_with("http://")
    }
}

/// Whether a URL, or a host without a scheme, has a user or a password before its host.
pub(crate) fn has_user_info(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

impl BucketLocation<'_> {
    pub(crate) fn resolve(&self) -> Result<Endpoint, BuildError> {
        let special = [
            (self.dual_stack, "usedualstack"),
            (self.accelerate, "accelerate"),
            (self.fips, "usefipsendpoint"),
        ];
        if let (Some(_), Some((_, key))) = (self.endpoint, special.iter().find(|(set, _)| *set)) {
            return Err(self.error(&format!(
                "{key} chooses one of AWS's endpoints, and regionendpoint another: remove one of the two"
            )));
        }
        match self.endpoint {
            Some(endpoint) => self.own(endpoint),
            None => self.aws(),
        }
    }

    fn own(&self, endpoint: &str) -> Result<Endpoint, BuildError> {
        if has_user_info(endpoint) {
            return Err(self.error(
                "regionendpoint and redirectendpoint must not have a user or password, which messages would show: use `accesskey` \
                 and `secretkey`",
            ));
        }
        let scheme = if self.secure { "https" } else { "http" };
        let text = match endpoint.contains("://") {
            true => endpoint.trim_end_matches('/').to_owned(),
            false => format!("{scheme}://{}", endpoint.trim_end_matches('/')),
        };
        let mut url = Url::parse(&text).map_err(|error| {
            self.error(&format!("regionendpoint {endpoint:?} is no URL")).with_source(error)
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if self.path_style {
            return Ok(Endpoint { url: text, virtual_hosted: false });
        }
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || host == "localhost" {
            return Err(self.error(&format!(
                "regionendpoint {endpoint:?} cannot have the bucket as part of its host: set forcepathstyle: true"
            )));
        }
        // A host that already includes the bucket stays as it is.
        if !host.starts_with(&format!("{}.", self.bucket)) {
            url.set_host(Some(&format!("{}.{host}", self.bucket))).map_err(|error| {
                self.error("the bucket cannot be part of a host: set forcepathstyle: true").with_source(error)
            })?;
        }
        Ok(Endpoint { url: url.as_str().trim_end_matches('/').to_owned(), virtual_hosted: true })
    }

    fn aws(&self) -> Result<Endpoint, BuildError> {
        let domain = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let scheme = if self.secure { "https" } else { "http" };
        let (bucket, region) = (self.bucket, self.region);
        // The certificate covers one label below the domain, so the host cannot include a bucket with dots.
        let in_path = self.path_style || (self.secure && bucket.contains('.'));
        if self.accelerate {
            if in_path {
                return Err(self.error(
                    "accelerate needs the bucket in the host: unset forcepathstyle, and no dots in its name",
                ));
            }
            if self.fips {
                return Err(self.error("accelerate and usefipsendpoint exclude each other"));
            }
            let host = if self.dual_stack { "s3-accelerate.dualstack" } else { "s3-accelerate" };
            return Ok(Endpoint {
                url: format!("{scheme}://{bucket}.{host}.{domain}"),
                virtual_hosted: true,
            });
        }
        let host = match (self.fips, self.dual_stack) {
            (false, false) => format!("s3.{region}.{domain}"),
            (false, true) => format!("s3.dualstack.{region}.{domain}"),
            (true, false) => format!("s3-fips.{region}.{domain}"),
            (true, true) => format!("s3-fips.dualstack.{region}.{domain}"),
        };
        Ok(match in_path {
            true => Endpoint { url: format!("{scheme}://{host}"), virtual_hosted: false },
            false => Endpoint { url: format!("{scheme}://{bucket}.{host}"), virtual_hosted: true },
        })
    }

    fn error(&self, problem: &str) -> BuildError {
        BuildError::new(format!("storage.{}: {problem}", self.section))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> BucketLocation<'static> {
        BucketLocation {
            section: "s3",
            region: "eu-west-1",
            bucket: "reg",
            secure: true,
            ..Default::default()
        }
    }

    fn check(place: BucketLocation<'_>, url: &str, virtual_hosted: bool) {
        assert_eq!(place.resolve().unwrap(), Endpoint { url: url.to_owned(), virtual_hosted });
    }

    #[test]
    fn aws_endpoints_are_made_of_the_region() {
        check(place(), "https://reg.s3.eu-west-1.amazonaws.com", true);
        check(BucketLocation { path_style: true, ..place() }, "https://s3.eu-west-1.amazonaws.com", false);
        check(BucketLocation { bucket: "a.b", ..place() }, "https://s3.eu-west-1.amazonaws.com", false);
        check(
            BucketLocation { dual_stack: true, ..place() },
            "https://reg.s3.dualstack.eu-west-1.amazonaws.com",
            true,
        );
        check(BucketLocation { fips: true, ..place() }, "https://reg.s3-fips.eu-west-1.amazonaws.com", true);
        check(
            BucketLocation { accelerate: true, ..place() },
            "https://reg.s3-accelerate.amazonaws.com",
            true,
        );
        check(
            BucketLocation { region: "cn-north-1", ..place() },
            "https://reg.s3.cn-north-1.amazonaws.com.cn",
            true,
        );
        check(BucketLocation { secure: false, ..place() }, "http://reg.s3.eu-west-1.amazonaws.com", true);
    }

    #[test]
    fn own_endpoints_get_a_scheme_and_the_bucket() {
        let own = |endpoint| BucketLocation { endpoint: Some(endpoint), ..place() };
        check(own("https://s3.example.org"), "https://reg.s3.example.org", true);
        check(own("s3.example.org:9000"), "https://reg.s3.example.org:9000", true);
        check(own("https://reg.s3.example.org"), "https://reg.s3.example.org", true);
        check(
            BucketLocation { path_style: true, ..own("http://127.0.0.1:9000/") },
            "http://127.0.0.1:9000",
            false,
        );
        check(
            BucketLocation { path_style: true, secure: false, ..own("minio:9000") },
            "http://minio:9000",
            false,
        );
    }

    #[test]
    fn what_cannot_work_says_what_to_change() {
        let own = |endpoint| BucketLocation { endpoint: Some(endpoint), ..place() };
        for (place, remedy) in [
            (own("http://127.0.0.1:9000"), "forcepathstyle: true"),
            (own("http://[::1]:9000"), "forcepathstyle: true"),
            (BucketLocation { accelerate: true, ..own("https://s3.example.org") }, "remove one"),
            (BucketLocation { accelerate: true, path_style: true, ..place() }, "forcepathstyle"),
        ] {
            let error = place.resolve().unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
