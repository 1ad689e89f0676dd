//! `hooks completions` and `hooks man`: made from the definitions of the command line.

use std::io;
use std::path::Path;

use clap::builder::Resettable;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{print, print_bytes};
use crate::args::Cli;
use crate::args::docs::{CompletionsArgs, ManArgs};
use crate::console::complain;
use crate::exit::Exit;

pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hooks", &mut script);
    let script = String::from_utf8_lossy(&script);
    print(&match args.shell {
        Shell::Bash => format!("{script}{}", include_str!("completions/hooks.bash")),
        Shell::Fish => format!("{script}{}", include_str!("completions/hooks.fish")),
        Shell::Zsh => for_zsh(&script),
        _ => script.into_owned(),
    });
    Exit::Done
}

/// The function that the shell calls is ours; what it was is called by that.
fn for_zsh(script: &str) -> String {
    let ours = include_str!("completions/hooks.zsh");
    script.replacen("\n_hooks() {", &format!("\n{ours}\n_hooks_options() {{"), 1)
}

pub(crate) fn man(args: &ManArgs) -> Exit {
    let written = match &args.dir {
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| write_all(&built(), dir))
            .map_err(|error| format!("can't write manual pages into the folder `{}`: {error}", dir.display())),
        None => page(&built()).map(|page| print_bytes(&page)).map_err(|error| error.to_string()),
    };
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(error);
            Exit::Failed
        }
    }
}

/// The manual page of a command that was built.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let extra = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut page = Vec::new();
    Man::new(command.clone().after_help(Resettable::Reset)).render(&mut page)?;
    sections(&extra).to_writer(&mut page)?;
    Ok(page)
}

/// The text below a command's help, in the sections that a reader of manual pages looks for.
fn sections(extra: &str) -> Roff {
    let paragraphs = || extra.split("\n\n").filter(|paragraph| !paragraph.is_empty());
    let mut roff = Roff::new();
    let notes = paragraphs().filter(|text| !text.starts_with(EXAMPLES) && !text.starts_with("Exit code"));
    for (at, note) in notes.enumerate() {
        let (macro_name, title) = if at == 0 { ("SH", Some("NOTES")) } else { ("PP", None) };
        roff.control(macro_name, title).text([roman(note)]);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", []).text([bold(exit.code().to_string())]).text([roman(exit.meaning())]);
    }
    // What the codes of this command mean beyond that.
    for code in paragraphs().filter(|text| text.starts_with("Exit code ")) {
        roff.control("PP", []).text([roman(code)]);
    }
    for examples in paragraphs().filter_map(|text| text.strip_prefix(EXAMPLES)) {
        // As they are written, each on its own line.
        roff.control("SH", ["EXAMPLES"]).control("EX", []);
        for line in examples.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("EE", []);
    }
    roff
}

/// The heading of examples in help.
const EXAMPLES: &str = "Examples:\n";

/// The commands as they are built for pages: `hooks help` has none.
fn built() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

fn write_all(command: &Command, dir: &Path) -> io::Result<()> {
    for command in command.get_subcommands() {
        write_all(command, dir)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    std::fs::write(dir.join(format!("{name}.1")), page(command)?)
}
