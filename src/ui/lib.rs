//! The web page of the registry: its images, their sizes and ages, and the space that a deletion frees.
//!
//! [`Ui::answer`] turns a request into a page. The server makes all HTML, so every page is complete without JavaScript; nothing
//! is loaded from another origin. Names, tags and digests come from the store at each request; only figures come from a survey,
//! and say how old they are.
//!
//! Absent on purpose: sockets, and how visitors prove who they are ([`Gate`]).

mod assets;
mod changes;
mod contents;
mod figures;
mod frame;
mod gate;
mod housekeeping;
mod kind;
mod language;
mod order;
mod pages;
mod preferences;
mod query;
mod reply;
mod route;
mod session;
mod settings;
mod shown;
mod tag_sizes;
#[cfg(test)]
mod tests;
mod texts;
mod tokens;
mod ui;
mod verifications;
mod visit;

pub use changes::{Change, Changes, DeniedAccess};
pub use gate::{AllRights, Gate, Login, Refusal, Right, Rights, Visitor};
pub use housekeeping::{
    CannotCollect, Collection, CollectionEnd, CollectionSchedule, Collections, Housekeeping,
};
pub use language::Language;
pub use pages::shell_word;
pub use session::SessionKey;
pub use settings::UiSettings;
pub use tokens::{AccessTokens, CannotCreateToken, NewSecret, TokenField, TokenForm, VisitorToken};
pub use ui::Ui;
pub use verifications::{FoundProblem, Verifications};
pub use visit::{Declined, UiRequest};
