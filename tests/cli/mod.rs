//! The built binary, as its users start it: exit codes, what it prints, what it leaves.

mod bench_command;
mod bundles;
mod collector;
mod config_command;
mod config_samples;
mod copy_command;
mod debug_listener;
mod fake_registry;
mod foreign_files;
mod garbage_collect;
mod health;
mod htpasswd_command;
mod image_configs;
mod image_script;
mod inventory_command;
pub(crate) mod metrics;
mod middleware;
mod mirror;
mod permissions;
mod registry_client;
mod serve_command;
mod status_command;
mod strangers;
pub(crate) mod support;
mod systemd;
mod traces;
mod usage;
