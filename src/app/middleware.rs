//! Makes decorators of the driver from `middleware.storage`.

use std::sync::Arc;

use sampan_config::{Config, StorageMiddleware};
use sampan_driver::StorageDriver;

use super::AppError;
use crate::decorators::{Redirecting, Rule};

/// Wraps `driver` in the configured middleware, the first entry innermost.
pub(super) fn around(
    driver: Arc<dyn StorageDriver>,
    config: &Config,
) -> Result<Arc<dyn StorageDriver>, AppError> {
    let rules = rules(config)?;
    Ok(rules.into_iter().fold(driver, |inner, rule| Arc::new(Redirecting::new(inner, rule))))
}

/// The configured rules.
pub(super) fn rules(config: &Config) -> Result<Vec<Rule>, AppError> {
    let entries = config.middleware.iter().flat_map(|middleware| &middleware.storage);
    // The check of the configuration has refused invalid entries.
    let wanted = entries.filter_map(|entry| entry.as_storage().ok().flatten());
    wanted.map(rule).collect()
}

fn rule(wanted: StorageMiddleware) -> Result<Rule, AppError> {
    let rule = match wanted {
        StorageMiddleware::Redirect(options) => Rule::To(options.baseurl.as_url().clone()),
        StorageMiddleware::Rewrite(options) => Rule::Rewrite {
            scheme: options.scheme.filter(|scheme| !scheme.is_empty()),
            host: options.host.filter(|host| !host.is_empty()),
            trim_path_prefix: options.trimpathprefix,
        },
    };
    rule.check()?;
    Ok(rule)
}
