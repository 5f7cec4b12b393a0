//! `Limits`: the most that a server may send.

/// The most that a server may send in one answer or one list; beyond it a request fails with
/// [`Problem::TooLarge`](crate::Problem::TooLarge).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The longest manifest, in bytes. The OCI distribution-spec asks registries to accept 4 MiB ("Pushing Manifests").
    pub manifest_bytes: u64,
    /// The longest answer of a token server, in bytes.
    pub token_bytes: u64,
    /// The longest page of a list, in bytes.
    pub page_bytes: u64,
    /// All pages of a list together, in bytes.
    pub list_bytes: u64,
    /// The number of entries of a list.
    pub list_entries: usize,
    /// The number of pages of a list.
    pub pages: u32,
    /// The number of redirects of one request.
    pub redirects: u32,
    /// The length of a header that this crate reads, in bytes.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 << 20,
            token_bytes: 1 << 20,
            page_bytes: 32 << 20,
            list_bytes: 64 << 20,
            list_entries: 1_000_000,
            pages: 10_000,
            redirects: 5,
            header_bytes: 16 << 10,
        }
    }
}
