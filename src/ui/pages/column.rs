//! `Column`: a heading of a list.

/// A heading, which is a link if the list can be sorted by it.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) link: Option<String>,
    pub(crate) is_number: bool,
    pub(crate) is_sorted: bool,
    pub(crate) direction: &'static str,
}
