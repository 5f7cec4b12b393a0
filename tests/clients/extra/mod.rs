//! Clients that take minutes to build from source, tests that write many gigabytes, or wait for minutes, for `.ci/clients-extra`.

mod buildkit;
mod cosign;
mod helm;
mod invalid_token;
mod large_bundle;
