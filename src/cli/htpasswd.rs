//! `registry htpasswd`: manages the password file without Apache's tool.

use super::CommandResult;
use super::args::HtpasswdCommand;
use super::terminal::{password, say};
use crate::auth::htpasswd_file::{self, Added, ListedHash, Verdict};

pub(super) fn run(command: HtpasswdCommand) -> CommandResult {
    match command {
        HtpasswdCommand::Add { file, user } => {
            let password = password(&user, true)?;
            match htpasswd_file::add(&file, &user, &password)? {
                Added::New => say(format!("added user {user} to {}", file.display())),
                Added::Changed => say(format!("changed the password of {user} in {}", file.display())),
            }
        }
        HtpasswdCommand::Remove { file, user } => {
            htpasswd_file::remove(&file, &user)?;
            say(format!("removed user {user} from {}", file.display()));
        }
        HtpasswdCommand::List { file } => {
            for user in htpasswd_file::list(&file)? {
                let note = match user.hash {
                    ListedHash::Bcrypt { cost } => format!("bcrypt, cost {cost}"),
                    ListedHash::Unsupported { kind } => {
                        format!("cannot log in: {kind}, only bcrypt is accepted")
                    }
                    ListedHash::Superseded => "superseded by a later line".to_owned(),
                };
                say(format!("{}\t{note}", user.name));
            }
        }
        HtpasswdCommand::Verify { file, user } => {
            let password = password(&user, false)?;
            match htpasswd_file::verify(&file, &user, &password)? {
                Verdict::Right => say("the password is right"),
                Verdict::Wrong => return Err("the password is wrong".into()),
            }
        }
    }
    Ok(())
}
