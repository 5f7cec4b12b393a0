//! `registry serve`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use sampan_config::{Environment, Source};

use super::{CommandResult, check};
use crate::app::App;
use crate::drivers::Drivers;
use sampan_driver::with_causes;

pub(super) fn run(drivers: &Drivers, config: Option<PathBuf>, default: bool) -> CommandResult {
    let environment = Environment::of_process();
    let source = if default { Source::BuiltIn } else { Source::find(config, &environment) };
    serve(drivers, &source, environment).map_err(|error| explain(&source, error))
}

/// Adds the configuration in use to an error, if the command line does not name it: it may be a leftover of
/// another registry, where the user wants none.
fn explain(source: &Source, error: Box<dyn Error>) -> Box<dyn Error> {
    match source {
        Source::Standard(_) => format!(
            "{}\nThe configuration is {source}; `registry serve --default` serves ./registry-data on localhost:5000 without it.",
            with_causes(&*error)
        )
        .into(),
        _ => error,
    }
}

/// Serves the registry of a configuration.
pub(super) fn serve(drivers: &Drivers, source: &Source, environment: Environment) -> CommandResult {
    let loaded = check::load(drivers, source.clone(), &environment)?;
    let runtime = super::runtime::start()?;
    let served = runtime.block_on(async { App::build(loaded, environment, drivers).await?.run().await });
    runtime.shutdown_timeout(BLOCKING_SHUTDOWN_TIMEOUT);
    Ok(served?)
}

/// How long abandoned threads may delay the exit: one blocked by a hung disk would block the process.
const BLOCKING_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_implicit_configuration_is_named_with_the_way_around_it() {
        let place = PathBuf::from("/etc/docker/registry/config.yml");
        let told = |source| explain(&source, "no such file".into()).to_string();
        assert_eq!(told(Source::Argument(place.clone())), "no such file");
        let standard = told(Source::Standard(place));
        assert!(
            standard.starts_with("no such file\nThe configuration is /etc/docker/registry/config.yml (at"),
            "{standard}"
        );
        assert!(standard.contains("`registry serve --default`"), "{standard}");
    }
}
