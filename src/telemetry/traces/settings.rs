//! Reads the standard variables that enable traces.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The environment's choice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExporterChoice {
    /// No traces.
    None,
    /// Traces by OTLP over HTTP.
    Otlp,
    /// An unsupported choice: no traces, for this reason.
    Unknown(String),
}

impl ExporterChoice {
    /// Evaluates the variables.
    ///
    /// Traces are sent when `OTEL_TRACES_EXPORTER` is `otlp`, or when it is unset and an endpoint is set.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Self::None;
        }
        let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
        match variable("OTEL_TRACES_EXPORTER").as_deref() {
            None if endpoint.is_none() => return Self::None,
            Some("none") => return Self::None,
            None | Some("otlp") => {}
            Some(other) => {
                return Self::Unknown(format!(
                    "OTEL_TRACES_EXPORTER is `{other}`, but only `otlp` and `none` are supported: no traces are sent"
                ));
            }
        }
        let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        match protocol.as_deref() {
            None | Some("http/protobuf") => Self::Otlp,
            Some(other) => Self::Unknown(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is `{other}`, but only `http/protobuf` is supported: no traces are sent"
            )),
        }
    }
}

/// The resource attributes of spans; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` may override them.
pub(super) fn resource() -> Resource {
    let builder =
        Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    if named { builder.build() } else { builder.with_service_name("sampan").build() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(variables: &[(&str, &str)]) -> ExporterChoice {
        ExporterChoice::of(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn traces_are_sent_only_when_a_variable_enables_them() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        for (variables, expected) in [
            (&[][..], ExporterChoice::None),
            (&[("OTEL_SERVICE_NAME", "registry")], ExporterChoice::None),
            (&[("OTEL_TRACES_EXPORTER", "")], ExporterChoice::None),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], ExporterChoice::Otlp),
            (&[endpoint], ExporterChoice::Otlp),
            (
                &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces")],
                ExporterChoice::Otlp,
            ),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], ExporterChoice::Otlp),
            // As in Distribution's image.
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], ExporterChoice::None),
            (&[endpoint, ("OTEL_SDK_DISABLED", "true")], ExporterChoice::None),
        ] {
            assert_eq!(wish(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn an_unsupported_choice_is_named() {
        for (variables, name) in [
            (&[("OTEL_TRACES_EXPORTER", "zipkin")][..], "`zipkin`"),
            (&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "`grpc`"),
        ] {
            let ExporterChoice::Unknown(text) = wish(variables) else { panic!("{variables:?}") };
            assert!(text.contains(name), "{text}");
        }
    }
}
