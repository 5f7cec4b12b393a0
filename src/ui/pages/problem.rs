//! Errors that a visitor sees instead of a page.

use askama::Template;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode};
use sampan_engine::{gc, verify};
use serde_json::json;

use super::login;
use crate::frame::Frame;
use crate::gate::{Refusal, Visitor};
use crate::language::Language;
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::ui::{PageContext, allow};
use crate::visit::Declined;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// There is no such place, or the visitor may not see it.
    #[error("there is no such page, or it may not be seen")]
    NotFound,
    /// The visitor may see the place, and not do this.
    #[error("that is not allowed")]
    Forbidden,
    /// The settings of the registry rule this out; the sentence says how.
    #[error("{0}")]
    Off(String),
    /// A form did not come from a page of this registry.
    #[error("the form did not come from this page")]
    Forged,
    /// The place has other methods.
    #[error("the method is not one of {0}")]
    Method(&'static str),
    /// The visitor is refused as a whole.
    #[error(transparent)]
    Refused(Refusal),
    /// The server declines the request.
    #[error("{}", declined(Language::English, *.0).2)]
    Declined(Declined),
    /// The collector could not look at the store.
    #[error(transparent)]
    Collector(gc::Error),
    /// The progress of verifications cannot be read.
    #[error(transparent)]
    Verification(verify::Error),
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] sampan_engine::Error),
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    f: Frame,
    sentence: String,
    detail: Option<String>,
    back: Option<String>,
}

/// The answer for a problem.
pub(crate) fn problem(scene: &PageContext<'_>, visitor: Option<&Visitor>, problem: Problem) -> Reply {
    if let (Problem::Refused(Refusal::LoginNeeded), false, true) =
        (&problem, scene.visit.wants_json(), scene.gate().has_login())
    {
        return login::needed(scene);
    }
    let t = scene.visit.language;
    let (status, title, sentence) = match &problem {
        Problem::NotFound => (StatusCode::NOT_FOUND, t.not_found(), t.not_found_or_hidden()),
        Problem::Forbidden => (StatusCode::FORBIDDEN, t.forbidden(), t.no_right()),
        Problem::Off(sentence) => (StatusCode::FORBIDDEN, t.forbidden(), sentence.clone()),
        Problem::Forged => (StatusCode::FORBIDDEN, t.forbidden(), t.forged()),
        Problem::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, t.wrong_method(), String::new()),
        Problem::Refused(refusal) => {
            let (status, sentence) = refused(t, refusal);
            let title = if status.is_server_error() { t.failed() } else { t.forbidden() };
            (status, title, sentence)
        }
        Problem::Declined(why) => declined(t, *why),
        Problem::Collector(error) => of_collector(t, error).unwrap_or_else(|| failed(scene, error)),
        Problem::Verification(error) => failed(scene, error),
        Problem::Engine(error) => of_engine(t, error).unwrap_or_else(|| failed(scene, error)),
    };
    let is_failure = status == StatusCode::INTERNAL_SERVER_ERROR;
    // A script that sends a form often takes anything.
    let is_from_script = scene.visit.parts.method == Method::POST && !scene.visit.wants_html();
    let passes = matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::SERVICE_UNAVAILABLE);
    let mut reply = if scene.visit.wants_json() || (is_from_script && passes) {
        reply::json(status, &json!({ "error": problem_text(&problem), "requestId": scene.visit.id }))
    } else {
        let back = scene
            .place
            .repository()
            .filter(|_| status == StatusCode::NOT_FOUND && is_below_tags(&scene.place));
        let f = scene.frame(visitor).titled(title);
        let back = back.map(|name| f.to(&Route::Tags(name.clone())));
        reply::page(
            status,
            &ProblemPage { f, sentence, detail: is_failure.then(|| scene.visit.id.clone()), back },
        )
    };
    if let Problem::Method(methods) = &problem {
        let (name, value) = allow(methods);
        reply.headers_mut().insert(name, value);
    }
    if let Some(secs) = retry_after(&problem) {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(secs));
    }
    if let Problem::Refused(refusal) = &problem {
        add_retry_after(&mut reply, refusal);
    }
    reply
}

/// Status, title and sentence for what the visitor can do something about; `None` for a failure.
fn of_engine(t: Language, error: &sampan_engine::Error) -> Option<(StatusCode, String, String)> {
    use sampan_engine::Error as E;
    match error {
        E::ManifestUnknown(..) | E::RepositoryUnknown(_) | E::BlobUnknown(..) => {
            Some((StatusCode::NOT_FOUND, t.not_found(), t.not_found_or_hidden()))
        }
        E::ReadOnly | E::ReadOnlyStore(_) => Some((StatusCode::FORBIDDEN, t.forbidden(), t.read_only())),
        E::Disabled(_) => Some((StatusCode::FORBIDDEN, t.forbidden(), t.delete_disabled())),
        error if error.is_storage_full() => {
            Some((StatusCode::SERVICE_UNAVAILABLE, t.failed(), t.storage_full()))
        }
        error if error.is_temporary() => Some((StatusCode::SERVICE_UNAVAILABLE, t.failed(), t.try_again())),
        _ => None,
    }
}

/// The same for the preview of a deletion.
fn of_collector(t: Language, error: &gc::Error) -> Option<(StatusCode, String, String)> {
    match error {
        gc::Error::Busy => Some((StatusCode::SERVICE_UNAVAILABLE, t.failed(), t.busy_with_preview())),
        _ => None,
    }
}

/// The same for what the server declines.
fn declined(t: Language, why: Declined) -> (StatusCode, String, String) {
    match why {
        Declined::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, t.too_large(), t.too_large_remedy()),
        Declined::TooMany => (StatusCode::TOO_MANY_REQUESTS, t.failed(), t.too_many_forms()),
        Declined::Unhealthy => (StatusCode::SERVICE_UNAVAILABLE, t.failed(), t.unhealthy()),
    }
}

/// After how many seconds the visitor may try again, for what passes by itself.
fn retry_after(problem: &Problem) -> Option<&'static str> {
    match problem {
        Problem::Engine(error) if error.is_temporary() => Some("2"),
        Problem::Collector(gc::Error::Busy) => Some("10"),
        Problem::Declined(Declined::TooMany) => Some("1"),
        _ => None,
    }
}

/// The same for any failure, whose reason is in the log.
fn failed(
    scene: &PageContext<'_>,
    error: &(dyn std::error::Error + 'static),
) -> (StatusCode, String, String) {
    let t = scene.visit.language;
    tracing::error!(error, http.request.id = scene.visit.id, "cannot make a page");
    (StatusCode::INTERNAL_SERVER_ERROR, t.failed(), t.failed_because())
}

/// Why a visitor is refused, as a sentence.
pub(crate) fn refused(t: Language, refusal: &Refusal) -> (StatusCode, String) {
    match refusal {
        Refusal::LoginNeeded => (StatusCode::UNAUTHORIZED, t.session_over()),
        Refusal::Wrong => (StatusCode::UNAUTHORIZED, t.wrong_login()),
        Refusal::TooMany { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, t.too_many(retry_after.as_secs().max(1)))
        }
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, t.login_unavailable()),
    }
}

/// Says when a visitor may try again, if that is known.
pub(crate) fn add_retry_after(reply: &mut Reply, refusal: &Refusal) {
    if let Refusal::TooMany { retry_after } = refusal {
        reply.headers_mut().insert(RETRY_AFTER, retry_after.as_secs().max(1).into());
    }
}

/// The text for scripts, which never includes the store's own message.
fn problem_text(problem: &Problem) -> String {
    match problem {
        Problem::Engine(error) => match of_engine(Language::English, error) {
            Some((StatusCode::NOT_FOUND, ..)) => Problem::NotFound.to_string(),
            Some((_, _, sentence)) => sentence,
            None => STORE_FAILED.to_owned(),
        },
        Problem::Collector(error) => match of_collector(Language::English, error) {
            Some((_, _, sentence)) => sentence,
            None => STORE_FAILED.to_owned(),
        },
        Problem::Verification(_) => STORE_FAILED.to_owned(),
        other => other.to_string(),
    }
}

const STORE_FAILED: &str = "the store did not answer as it should; the log has the reason";

fn is_below_tags(place: &Route) -> bool {
    !matches!(place, Route::Tags(_))
}

#[cfg(test)]
mod tests {
    use sampan_driver::{DriverError, ErrorKind, Operation};
    use sampan_engine::Error;

    use super::*;

    #[test]
    fn a_full_or_busy_store_is_named() {
        let t = Language::English;
        let path = "/x".parse().unwrap();
        let error = |kind| Error::Driver(DriverError::new(kind, "test", Operation::Delete, &path));
        let of = |kind| of_engine(t, &error(kind));
        let full = of(ErrorKind::StorageFull).unwrap();
        assert_eq!((full.0, full.2), (StatusCode::SERVICE_UNAVAILABLE, t.storage_full()));
        let busy = of(ErrorKind::Unavailable).unwrap();
        assert_eq!((busy.0, busy.2), (StatusCode::SERVICE_UNAVAILABLE, t.try_again()));
        assert_eq!(of(ErrorKind::Other), None);
        assert_eq!(of_engine(t, &Error::ReadOnly).unwrap().0, StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_registry_that_is_busy_with_a_preview_says_when_to_come_again() {
        let (status, _, sentence) = of_collector(Language::English, &gc::Error::Busy).unwrap();
        assert_eq!(
            (status, sentence),
            (StatusCode::SERVICE_UNAVAILABLE, Language::English.busy_with_preview())
        );
        assert_eq!(retry_after(&Problem::Collector(gc::Error::Busy)), Some("10"));
        assert_eq!(of_collector(Language::English, &gc::Error::Lost), None);
        assert_eq!(retry_after(&Problem::Collector(gc::Error::Lost)), None);
    }
}
