//! `hooks completions` and `hooks man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write `hooks.1`, `hooks-pipe.1` and so on here; the folder is made when it is not there
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

pub(crate) const COMPLETIONS: &str = "Examples:
  hooks completions bash > ~/.local/share/bash-completion/completions/hooks
  hooks completions zsh > ~/.zfunc/_hooks
  hooks completions fish > ~/.config/fish/completions/hooks.fish";

pub(crate) const MAN: &str = "Examples:
  hooks man | man -l -
  hooks man ~/.local/share/man/man1";
