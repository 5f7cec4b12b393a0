//! `Figures`: the survey of the store, kept in memory for a while. Figures are hints: each page says how old they are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sampan_engine::{NoSurvey, Registry, Survey, SurveyFile};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a survey counts before the next look at its file, also if there was none or the store failed.
const SURVEY_TTL: Duration = Duration::from_secs(15);

/// The survey of the store.
#[derive(Default)]
pub(crate) struct Figures {
    /// An async mutex: one request reads the file, the others wait for it.
    read: Mutex<Option<Read>>,
}

/// The result of the last look.
#[derive(Clone)]
struct Read {
    at: Instant,
    /// The file, if there is one.
    file: Option<SurveyFile>,
    survey: Option<Arc<Survey>>,
}

impl Figures {
    /// The last survey, also while the store is away; `None` if none is known.
    pub(crate) async fn survey(&self, registry: &Registry) -> Option<Arc<Survey>> {
        let mut read = self.read.lock().await;
        if let Some(Read { at, survey, .. }) = &*read
            && at.elapsed() < SURVEY_TTL
        {
            return survey.clone();
        }
        let known = read.clone();
        let (file, survey) = match Survey::read_unless(registry, known.as_ref().and_then(|known| known.file))
            .await
        {
            Ok(Some((survey, file))) => (Some(file), Some(Arc::new(survey))),
            Ok(None) => known.map_or((None, None), |known| (known.file, known.survey)),
            Err((NoSurvey::Missing, _)) => (None, None),
            Err((NoSurvey::Store(error), _)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the survey of the store cannot be read: {error}"
                );
                known.map_or((None, None), |known| (known.file, known.survey))
            }
            Err((error, file)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the page shows no sizes: {error}");
                (file, None)
            }
        };
        *read = Some(Read { at: Instant::now(), file, survey: survey.clone() });
        survey
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}
