//! `hooks health`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use reqwest::Url;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true).args(["config", "url"]))]
pub(crate) struct HealthArgs {
    /// The daemon's config file: it is asked where `ingest.listen` says, on this machine
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address of the daemon, for example http://127.0.0.1:8080
    #[arg(long, value_name = "URL", value_parser = crate::remote::address)]
    pub(crate) url: Option<Url>,
}

pub(crate) const ABOUT: &str =
    "Asks a running `hooks serve` whether it takes events (GET /readyz), and says `ready`, or \
why it does not: it drains, its bus is broken or can't be reached, there was no room for an event in the last 10 s, or \
it gives no answer within 5 s. It takes no token, and little time: for checks of containers and load balancers.

Of the config file only `ingest.listen` is looked at, so that a mistake in it does not end a daemon that runs well.";

pub(crate) const EXAMPLES: &str = "Examples:
  hooks health -c hooks.toml
  hooks health --url http://127.0.0.1:8080

Exit code 0 if it is ready, 1 if it is not.";
