//! Checks and chores of the workspace: `cargo xtask COMMAND`.

mod check;
mod integration;
mod new_sink;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Checks and chores of the workspace.

Usage: cargo xtask COMMAND

  test                     everything that can be tested on this machine; what is not installed is skipped
  ci                       the same, and whatever is not installed is an error
  tidy                     the rules of the workspace that no compiler knows
  integration [NAME…]      hooks together with other people's programs, which are installed by apt-get where that
                           is possible; without a name, all of them
  new-sink NAME [FOLDER]   a crate for a sink of your own, in FOLDER (else ../hooks-sink-NAME)
";

/// What a command ends with: a text for people, when it did not do what was asked.
type Done = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["test"] => check::run(check::Missing::Skip),
        ["ci"] => check::run(check::Missing::Fail),
        ["tidy"] => tidy::run(),
        ["integration", ref names @ ..] => integration::run(names),
        ["new-sink", name] => new_sink::run(name, None),
        ["new-sink", name, folder] => new_sink::run(name, Some(folder)),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}\nIntegrations: {}\n", integration::names());
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}
