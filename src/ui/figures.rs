//! `Figures`: the survey of the store, kept in memory for a while. Figures are hints: each page says how old they are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sampan_engine::{NoSurvey, Registry, Survey};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a survey that was read counts, also if there was none.
const BELIEVED_FOR: Duration = Duration::from_secs(15);

/// The survey of the store.
#[derive(Default)]
pub(crate) struct Figures {
    /// An async mutex: one request reads the file, the others wait for it.
    read: Mutex<Option<(Instant, Option<Arc<Survey>>)>>,
}

impl Figures {
    /// The last survey; `None` if there is none.
    pub(crate) async fn survey(&self, registry: &Registry) -> Option<Arc<Survey>> {
        let mut read = self.read.lock().await;
        if let Some((at, survey)) = &*read
            && at.elapsed() < BELIEVED_FOR
        {
            return survey.clone();
        }
        let survey = match Survey::read(registry).await {
            Ok(survey) => Some(Arc::new(survey)),
            Err(NoSurvey::Missing) => None,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the page shows no sizes: {error}");
                None
            }
        };
        *read = Some((Instant::now(), survey.clone()));
        survey
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}
