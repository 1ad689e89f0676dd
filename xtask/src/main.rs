//! Checks and chores of the workspace: `cargo xtask COMMAND`.

mod api;
mod bench;
mod book;
mod check;
mod crash;
mod deny;
mod instructions;
mod integration;
mod links;
mod new_sink;
mod package;
mod packages;
mod publish;
mod soak;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Checks and chores of the workspace.

Usage: cargo xtask COMMAND

  test                     everything that needs the toolchain alone: tidy, format, lints, tests, documentation
  ci                       the rest: features, dependencies, publish, api, book, instructions, crash, integration
  tidy                     the rules of the workspace that no compiler knows
  integration [NAME…]      hooks together with other people's programs, which are installed by apt-get where that
                           is possible; without a name, all of them
  bench [OPTIONS] [NAMES]  what delivering costs, beside the machine's limits and beside others; `bench --help` says more
  bench postgres [EVENTS]  what the Postgres bus costs beside a plain client, how soon events arrive, and what is left
                           in the tables; of each part so many events (1 million where not said)
  soak [EVENTS]            millions of events through a daemon whose hooks hang and fail: nothing is lost, memory
                           stays bounded (5 million where not said; takes about 4 GB of disk)
  crash [--rounds N] [--seed S]
                           kills a program that publishes to a durable bus and delivers, N times (200), and as often
                           a daemon, half of them while hooks are made and changed; and checks that nothing accepted
                           is lost, that order holds, that little comes twice, and that what was answered stays
  instructions [--update]  instructions of the functions that every event goes through, against their baseline;
                           valgrind, which counts them, is installed by apt-get
  backlog [EVENTS]         a receiver that is down until millions of events wait for it on the durable bus; then it
                           catches up (10 million where not said; takes about 5 GB of disk)
  package [--profile FILE | --binary FILE]
                           in target/packages packages for Debian and for Fedora, and an image for containers: of the
                           binary that is shipped, compiled with a new profile of its work or this one, or of another
  image [--profile FILE | --binary FILE]
                           the image alone
  publish                  whether the crates can be published, and built on from their packages; uploads nothing
  api [--update]           what each published crate offers, compared with the listings in xtask/api, and with the
                           last release that is tagged
  book                     the documents as a book in target/book/html, its links checked; mdBook is compiled for it
                           where it is not on the path
  new-sink NAME [FOLDER]   a crate for a sink of your own, in FOLDER (else ../hooks-sink-NAME)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["test"] => check::test(),
        ["ci"] => check::ci(),
        ["tidy"] => tidy::run(),
        ["integration", ref names @ ..] => integration::run(names),
        ["bench", ref rest @ ..] => bench::run(rest),
        ["soak"] => soak::run("5000000"),
        ["soak", events] => soak::run(events),
        ["backlog"] => soak::backlog("10000000"),
        ["backlog", events] => soak::backlog(events),
        ["crash", ref arguments @ ..] => crash::run(arguments),
        ["instructions", ref rest @ ..] => instructions::run(rest),
        ["package", ref rest @ ..] => package::run("package", &[package::deb, package::rpm, package::image], rest),
        ["image", ref rest @ ..] => package::run("image", &[package::image], rest),
        ["api", ref rest @ ..] => api::run(rest),
        ["book"] => book::run(),
        ["publish"] => publish::run(),
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
