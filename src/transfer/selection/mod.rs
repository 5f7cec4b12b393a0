//! Selection: which repositories, tags and platforms an operation concerns.

mod list;
mod platform;
mod selector;

pub(crate) use list::split_host;
pub use list::{ListedSelector, parse_lines};
pub(crate) use platform::shown_platforms;
pub use platform::{InvalidPlatform, Platform};
pub use selector::{InvalidSelector, Selector};
