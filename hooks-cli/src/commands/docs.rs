//! `hooks completions` and `hooks man`: made from the definitions of the command line.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;

use super::print_bytes;
use crate::args::Cli;
use crate::args::docs::{CompletionsArgs, ManArgs};
use crate::exit::Exit;

pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hooks", &mut script);
    print_bytes(&script);
    Exit::Done
}

pub(crate) fn man(args: &ManArgs) -> Exit {
    let written = match &args.dir {
        Some(dir) => write_all(dir).map_err(|error| format!("{}: {error}", dir.display())),
        None => page().map(|page| print_bytes(&page)).map_err(|error| error.to_string()),
    };
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("{error}");
            Exit::Failed
        }
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // As in the folder, where `hooks help` has no page.
    clap_mangen::Man::new(Cli::command().disable_help_subcommand(true)).render(&mut page)?;
    Ok(page)
}

fn write_all(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}
