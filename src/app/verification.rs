//! Makes the settings of verifications from the configuration.

use sampan_config::Config;
use sampan_engine::Registry;

use crate::maintenance::VerifySettings;

/// How the registry of `config` verifies its store; `None` if it does not.
pub(super) fn settings(config: &Config, registry: &Registry) -> Option<VerifySettings> {
    let verify = &config.verify;
    verify.enabled.then(|| VerifySettings {
        cycle: verify.cycle,
        rate: verify.rate.0,
        window: verify.window,
        data: verify.data.unwrap_or(!registry.driver().capabilities().flat),
        repair: verify.repair,
        grace: config.gc.grace_period(),
    })
}
