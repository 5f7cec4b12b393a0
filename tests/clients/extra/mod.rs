//! Clients that take minutes to build from source, and tests that write many gigabytes, for `.ci/clients-extra`.

mod buildkit;
mod cosign;
mod helm;
mod large_bundle;
