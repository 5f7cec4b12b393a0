//! The command line: arguments, output and exit codes.
//!
//! Exit codes: 0 success, 1 failure, 2 invalid command line, 3 success but for what is listed, 4 a bundle that is damaged or
//! whose signature is wrong, 5 content that a bundle presumes is missing.

mod access;
mod access_args;
mod access_token;
mod args;
mod backup;
mod backup_report;
mod bench;
mod bundle;
mod bundle_serve;
mod bundle_verify;
mod cache;
mod certificate;
mod check;
mod config_argument;
mod copy;
mod endpoint;
mod export;
mod export_args;
mod export_failure;
mod export_files;
mod export_parts;
mod export_report;
mod garbage_collect;
mod htpasswd;
mod image_lists;
mod import;
mod import_input;
mod input_error;
mod interruption;
mod inventory;
mod login;
mod migrate;
mod migrate_json;
mod migrate_report;
mod missing;
mod progress;
mod prune;
mod record;
mod report;
mod running_args;
mod runtime;
mod selected;
mod serve;
mod since;
mod status;
mod store;
mod sync;
mod tag;
mod terminal;
mod token;
mod token_args;
mod token_names;
mod transfer;
mod usage;
mod user;
mod verify;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::args::{Args, Command};
use crate::drivers::Drivers;
use sampan_driver::with_causes;

/// Runs the command of this process with `drivers`, and returns its exit code.
pub fn main(drivers: Drivers) -> ExitCode {
    // A bundle may have more parts than the usual limit. A command that needs fewer files works without.
    let _ = crate::serve::raise_file_limit();
    let code = run(drivers);
    match terminal::output_failure() {
        Some(error) => {
            print_error(&std::io::Error::other(format!(
                "standard output lacks some of what was printed: {error}"
            )));
            if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
        }
        None => code,
    }
}

fn run(drivers: Drivers) -> ExitCode {
    let given = args::with_implied_serve(std::env::args_os());
    let parsed = Args::command().try_get_matches_from(given);
    let parsed = parsed.and_then(|matches| Ok((Args::from_arg_matches(&matches)?, matches)));
    let (args, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misused(&error),
    };
    let exit = |result| exit(result, &matches);
    let result = match args.command {
        None => help(),
        Some(Command::GarbageCollect(options)) => {
            return garbage_collect::run(&drivers, options).unwrap_or_else(|error| {
                print_error(&*error);
                ExitCode::FAILURE
            });
        }
        Some(Command::Export(args)) => return exit(export::run(&drivers, *args)),
        Some(Command::Import(args)) => return exit(import::run(&drivers, *args)),
        Some(Command::Copy(args)) => return exit(copy::run(&drivers, *args)),
        Some(Command::Verify(options)) => return exit(verify::run(&drivers, *options)),
        Some(Command::Migrate(args)) => return exit(migrate::run(&drivers, *args)),
        Some(Command::Backup(command)) => return exit(backup::run(&drivers, command)),
        Some(Command::Bundle(command)) => return exit(bundle::run(&drivers, command)),
        Some(Command::Cache(command)) => return exit(cache::run(&drivers, command)),
        Some(Command::Sync(args)) => return exit(sync::run(&drivers, args)),
        Some(Command::Access(command)) => return exit(access::run(&drivers, command)),
        Some(Command::Inventory(args)) => inventory::inventory(&drivers, args),
        Some(Command::Serve { config_option, config, default }) => {
            serve::run(&drivers, config.or(config_option), default)
        }
        Some(Command::Health(options)) => status::health(&drivers, options),
        Some(Command::Status(options)) => status::status(&drivers, options),
        Some(Command::Ls(options)) => inventory::ls(&drivers, options),
        Some(Command::Du(options)) => inventory::du(&drivers, options),
        Some(Command::Usage(options)) => usage::run(&drivers, options),
        Some(Command::Config(command)) => check::run(&drivers, command),
        Some(Command::Htpasswd(command)) => htpasswd::run(command),
        Some(Command::User(command)) => user::run(&drivers, command),
        Some(Command::Tag(command)) => tag::run(&drivers, command),
        Some(Command::Token(command)) => token::run(&drivers, command),
        Some(Command::Certificate(options)) => certificate::run(options),
        Some(Command::Bench(options)) => bench::run(*options),
        Some(Command::Completion { shell }) => {
            completion(shell);
            Ok(())
        }
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    failed(error, &matches, |_| ExitCode::FAILURE)
}

/// The exit code of a command that has several for failures.
fn exit(result: Result<ExitCode, Box<dyn Error>>, matches: &ArgMatches) -> ExitCode {
    result.unwrap_or_else(|error| failed(error, matches, transfer::exit_code))
}

/// Prints the error of the command in `matches`. Unless the error is in the arguments, `code` has the exit code.
fn failed(
    error: Box<dyn Error>,
    matches: &ArgMatches,
    code: impl Fn(&(dyn Error + 'static)) -> ExitCode,
) -> ExitCode {
    match error.downcast::<clap::Error>() {
        Ok(misunderstood) => misused(&misunderstood.format(&mut used_command(matches))),
        Err(error) => {
            print_error(&*error);
            code(&*error)
        }
    }
}

/// The command in `matches`, which has its own usage: `registry backup prune`.
fn used_command(mut matches: &ArgMatches) -> clap::Command {
    let mut command = Args::command();
    command.build();
    while let Some((name, below)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand(name)
    {
        (command, matches) = (subcommand.clone(), below);
    }
    command
}

/// A command's result: an error is printed with its causes and yields exit code 1.
type CommandResult = Result<(), Box<dyn Error>>;

#[expect(clippy::print_stderr, reason = "the command line prints")]
fn print_error(error: &(dyn Error + 'static)) {
    eprintln!("registry: {}", terminal::printable(&with_causes(error)));
}

/// Prints a parse error; `--help` and `--version` are such errors too.
fn misused(error: &clap::Error) -> ExitCode {
    // Ignore a closed terminal.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

/// An error in the arguments of a command, with exit code 2. The usage is added where the error is printed.
fn misunderstood(message: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, message)
}

fn help() -> CommandResult {
    Ok(Args::command().print_help()?)
}

fn completion(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "registry", &mut script);
    terminal::printed(std::io::stdout().write_all(&script));
}
