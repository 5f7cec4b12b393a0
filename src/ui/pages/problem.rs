//! What a visitor sees instead of a page.

use askama::Template;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::json;

use super::login;
use crate::frame::Frame;
use crate::gate::{Refusal, Visitor};
use crate::language::Language;
use crate::place::Place;
use crate::reply::{self, Reply};
use crate::ui::{Scene, allow};

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
    /// The collector could not look at the store.
    #[error(transparent)]
    Collector(sampan_engine::gc::Error),
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
pub(crate) fn problem(scene: &Scene<'_>, visitor: Option<&Visitor>, problem: Problem) -> Reply {
    if let (Problem::Refused(Refusal::LoginNeeded), false, true) =
        (&problem, scene.visit.wants_json(), scene.gate().has_login())
    {
        return login::needed(scene);
    }
    let t = scene.visit.language;
    let (status, title, sentence) = match &problem {
        Problem::NotFound => (StatusCode::NOT_FOUND, t.not_found(), t.not_found_or_hidden()),
        Problem::Forbidden => (StatusCode::FORBIDDEN, t.forbidden(), t.not_found_or_hidden()),
        Problem::Off(sentence) => (StatusCode::FORBIDDEN, t.forbidden(), sentence.clone()),
        Problem::Forged => (StatusCode::FORBIDDEN, t.forbidden(), t.forged()),
        Problem::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, t.wrong_method(), String::new()),
        Problem::Refused(refusal) => {
            let (status, sentence) = refused(t, refusal);
            let title = if status.is_server_error() { t.failed() } else { t.forbidden() };
            (status, title, sentence)
        }
        Problem::Engine(error) if is_missing(error) => {
            (StatusCode::NOT_FOUND, t.not_found(), t.not_found_or_hidden())
        }
        Problem::Collector(error) => {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, http.request.id = scene.visit.id, "a preview could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, t.failed(), t.failed_because())
        }
        Problem::Engine(error) => {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, http.request.id = scene.visit.id, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, t.failed(), t.failed_because())
        }
    };
    let is_failure = status == StatusCode::INTERNAL_SERVER_ERROR;
    let mut reply = if scene.visit.wants_json() {
        reply::json(status, &json!({ "error": problem_text(&problem), "requestId": scene.visit.id }))
    } else {
        let back = scene
            .place
            .repository()
            .filter(|_| status == StatusCode::NOT_FOUND && is_below_tags(&scene.place));
        let f = scene.frame(visitor).titled(title);
        let back = back.map(|name| f.to(&Place::Tags(name.clone())));
        reply::page(
            status,
            &ProblemPage { f, sentence, detail: is_failure.then(|| scene.visit.id.clone()), back },
        )
    };
    if let Problem::Method(methods) = &problem {
        let (name, value) = allow(methods);
        reply.headers_mut().insert(name, value);
    }
    if let Problem::Refused(refusal) = &problem {
        add_retry_after(&mut reply, refusal);
    }
    reply
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

/// What a script reads; never what the store said.
fn problem_text(problem: &Problem) -> String {
    match problem {
        Problem::Engine(error) if is_missing(error) => Problem::NotFound.to_string(),
        Problem::Engine(_) | Problem::Collector(_) => {
            "the store did not answer as it should; the log has the reason".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether the engine says that something is not there.
fn is_missing(error: &sampan_engine::Error) -> bool {
    use sampan_engine::Error as E;
    matches!(error, E::ManifestUnknown(..) | E::RepositoryUnknown(_) | E::BlobUnknown(..))
}

fn is_below_tags(place: &Place) -> bool {
    !matches!(place, Place::Tags(_))
}
