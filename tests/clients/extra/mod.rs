//! Clients that take minutes to build from source, for `.ci/clients-extra`.

mod buildkit;
mod cosign;
mod helm;
