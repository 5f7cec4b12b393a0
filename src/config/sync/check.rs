//! The checks of `sync` across keys.

use crate::Config;
use crate::findings::Findings;

/// Checks what no single key can say.
pub(crate) fn check(config: &Config, found: &mut Findings<'_>) {
    for (index, job) in config.sync.iter().enumerate() {
        if job.repositories.is_empty() {
            let message = "names no repository; write one such as `- from: library/debian`";
            found.mistake(&format!("sync[{index}].repositories"), message);
        }
    }
}
