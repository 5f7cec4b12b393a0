//! `HttpMetrics`: metrics of requests. Where Distribution has a metric, the name and labels are
//! Distribution's.

use std::sync::OnceLock;

use http::Method;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    exponential_buckets,
};

use super::repository_metrics::RepositoryMetrics;
use super::route::Endpoint;
use crate::auth::{ChallengeReason, Denied};

/// Counters of requests, for one server.
///
/// Looks each label value up once and keeps the handle, so an event costs a few atomic additions.
#[derive(Debug)]
pub struct HttpMetrics {
    in_flight: IntGaugeVec,
    requests: IntCounterVec,
    duration: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    refusals: IntCounterVec,
    repositories: Option<RepositoryMetrics>,
    endpoints: [OfEndpoint; Endpoint::API.len()],
}

/// The metrics of an endpoint, by method.
#[derive(Debug)]
struct OfEndpoint {
    in_flight: IntGauge,
    request_size: Histogram,
    response_size: Histogram,
    received: IntCounter,
    sent: IntCounter,
    methods: [OfMethod; METHODS.len()],
}

/// The metrics of an endpoint and method; only those with a value appear on the page.
#[derive(Debug, Default)]
struct OfMethod {
    duration: OnceLock<Histogram>,
    /// By index in [`STATUSES`].
    requests: [OnceLock<IntCounter>; STATUSES.len()],
}

/// The values of the method label; the last covers every other method.
const METHODS: [&str; 8] = ["get", "head", "put", "patch", "post", "delete", "options", "unknown"];

/// The statuses that the API responds with.
const STATUSES: [u16; 24] = [
    200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 405, 408, 409, 413, 416, 429, 431, 499, 500,
    501, 503, 507,
];

/// Distribution's buckets, in seconds.
const DURATIONS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0];

/// A request at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done<'a> {
    pub(super) method: &'a Method,
    pub(super) status: u16,
    pub(super) seconds: f64,
    /// Bytes of the request: headers and announced body, as Distribution counts.
    pub(super) request_size: u64,
    /// Bytes of the body received.
    pub(super) received: u64,
    /// Bytes of the body sent.
    pub(super) sent: u64,
}

impl HttpMetrics {
    /// Creates the metrics at zero, with counters for at most `repositories` single repositories.
    ///
    /// # Errors
    ///
    /// Never: all names below are valid.
    pub fn new(repositories: usize) -> Result<Self, prometheus::Error> {
        let sizes = exponential_buckets(1024.0, 2.0, 22)?;
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: Vec<f64>| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)
        };
        let in_flight = IntGaugeVec::new(
            Opts::new("registry_http_in_flight_requests", "The in-flight HTTP requests"),
            &["handler"],
        )?;
        let requests = counter(
            "registry_http_requests_total",
            "Total number of HTTP requests made.",
            &["handler", "method", "code"],
        )?;
        let duration = histogram(
            "registry_http_request_duration_seconds",
            "The HTTP request latencies in seconds.",
            &["handler", "method"],
            DURATIONS.to_vec(),
        )?;
        let request_size = histogram(
            "registry_http_request_size_bytes",
            "The HTTP request sizes in bytes.",
            &["handler"],
            sizes.clone(),
        )?;
        let response_size = histogram(
            "registry_http_response_size_bytes",
            "The HTTP response sizes in bytes.",
            &["handler"],
            sizes,
        )?;
        let received =
            counter("sampan_http_received_bytes_total", "Bytes of request bodies received.", &["handler"])?;
        let sent = counter("sampan_http_sent_bytes_total", "Bytes of response bodies sent.", &["handler"])?;
        let refusals = counter(
            "sampan_auth_refusals_total",
            "Requests denied by authorization; every client's first request counts as `missing`.",
            &["reason"],
        )?;
        let repositories = (repositories > 0).then(|| RepositoryMetrics::new(repositories)).transpose()?;
        let endpoints = Endpoint::API.map(|endpoint| {
            let handler = &[endpoint.as_str()];
            OfEndpoint {
                in_flight: in_flight.with_label_values(handler),
                request_size: request_size.with_label_values(handler),
                response_size: response_size.with_label_values(handler),
                received: received.with_label_values(handler),
                sent: sent.with_label_values(handler),
                methods: Default::default(),
            }
        });
        Ok(Self {
            in_flight,
            requests,
            duration,
            request_size,
            response_size,
            received,
            sent,
            refusals,
            repositories,
            endpoints,
        })
    }

    /// The collectors to register.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(self.in_flight.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.request_size.clone()),
            Box::new(self.response_size.clone()),
            Box::new(self.received.clone()),
            Box::new(self.sent.clone()),
            Box::new(self.refusals.clone()),
        ];
        collectors.extend(self.repositories.iter().flat_map(RepositoryMetrics::collectors));
        collectors
    }

    /// Whether single repositories are counted.
    pub(super) fn wants_repositories(&self) -> bool {
        self.repositories.is_some()
    }

    pub(super) fn refused(&self, denied: &Denied) {
        let reason = match denied {
            Denied::Challenge { reason: ChallengeReason::Missing, .. } => "missing",
            Denied::Challenge { reason: ChallengeReason::Unreadable, .. } => "unreadable",
            Denied::Challenge { reason: ChallengeReason::Wrong, .. } => "wrong",
            Denied::Challenge { reason: ChallengeReason::Invalid, .. } => "invalid_token",
            Denied::Challenge { reason: ChallengeReason::Insufficient, .. } => "insufficient_scope",
            Denied::Forbidden { .. } => "forbidden",
            Denied::Ambiguous => "unreadable",
            Denied::TooManyAttempts { .. } | Denied::TooManyAtOnce { .. } => "throttled",
            Denied::Unavailable => "unavailable",
        };
        self.refusals.with_label_values(&[reason]).inc();
    }

    pub(super) fn began(&self, endpoint: Endpoint) {
        self.endpoints[endpoint as usize].in_flight.inc();
    }

    pub(super) fn ended(&self, endpoint: Endpoint, repository: Option<&str>, done: &Done<'_>) {
        if let (Some(repositories), Some(repository)) = (&self.repositories, repository) {
            repositories.ended(repository, endpoint, done);
        }
        let counts = &self.endpoints[endpoint as usize];
        counts.in_flight.dec();
        counts.request_size.observe(done.request_size as f64);
        counts.response_size.observe(done.sent as f64);
        counts.received.inc_by(done.received);
        counts.sent.inc_by(done.sent);
        let method = method_index(done.method);
        let (handler, name) = (endpoint.as_str(), METHODS[method]);
        let of_method = &counts.methods[method];
        let duration = || self.duration.with_label_values(&[handler, name]);
        of_method.duration.get_or_init(duration).observe(done.seconds);
        let requests = || self.requests.with_label_values(&[handler, name, &done.status.to_string()]);
        match STATUSES.binary_search(&done.status) {
            Ok(index) => of_method.requests[index].get_or_init(requests).inc(),
            Err(_) => requests().inc(),
        }
    }
}

fn method_index(method: &Method) -> usize {
    let known = |name: &&str| name.eq_ignore_ascii_case(method.as_str());
    METHODS.iter().position(known).unwrap_or(METHODS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_sorted_for_binary_search() {
        assert!(STATUSES.is_sorted());
    }

    #[test]
    fn a_request_is_counted_under_distributions_names() {
        let metrics = HttpMetrics::new(0).unwrap();
        metrics.began(Endpoint::Blob);
        assert_eq!(metrics.in_flight.with_label_values(&["blob"]).get(), 1);
        let done = Done {
            method: &Method::GET,
            status: 206,
            seconds: 0.3,
            request_size: 60,
            received: 0,
            sent: 5000,
        };
        metrics.ended(Endpoint::Blob, None, &done);
        metrics.began(Endpoint::Blob);
        let odd = Method::from_bytes(b"BREW").unwrap();
        metrics.ended(Endpoint::Blob, None, &Done { method: &odd, status: 418, ..done });
        assert_eq!(metrics.in_flight.with_label_values(&["blob"]).get(), 0);
        assert_eq!(metrics.requests.with_label_values(&["blob", "get", "206"]).get(), 1);
        assert_eq!(metrics.requests.with_label_values(&["blob", "unknown", "418"]).get(), 1);
        assert_eq!(metrics.sent.with_label_values(&["blob"]).get(), 10_000);
    }
}
