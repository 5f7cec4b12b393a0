//! `/debug/config`: the effective configuration, as `registry config show` prints it.

use axum::extract::State;

/// The configuration as YAML, secrets shown as `***`.
pub(in crate::debug) async fn show(State(config): State<String>) -> String {
    config
}
