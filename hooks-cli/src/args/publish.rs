//! `hooks publish`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use hooks_core::{ByteSize, HumanDuration};
use reqwest::Url;

use crate::publish::endpoint;

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Address of `hooks serve`, for example http://127.0.0.1:8080; without a path, /v1/events
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub(crate) to: Url,
    /// A file that holds the server's token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Most events of one request
    #[arg(long, value_name = "NUMBER", default_value = "500")]
    pub(crate) batch: NonZeroUsize,
    /// Most events a second [default: as fast as the server takes them]
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The `source` of events that name none
    #[arg(long, value_name = "URI", default_value = "hooks")]
    pub(crate) source: String,
    /// The longest event that is taken
    #[arg(long, value_name = "SIZE", default_value = "1MiB")]
    pub(crate) max_event: ByteSize,
    /// Give up after this long, for example 90s or 10m, with exit code 1
    #[arg(long, value_name = "DURATION", value_parser = super::durations::timeout)]
    pub(crate) timeout: Option<HumanDuration>,
}

pub(crate) const ABOUT: &str = "Reads events from stdin, one CloudEvents JSON object a line, and sends them to a \
running `hooks serve`, in order, until every one is accepted. A line that is no event is reported with its number and \
reason, and the others are sent. While the server has no room or is away (429, 5xx, no connection), it waits and goes \
on where it stopped; requests that are too large are split.

Missing `id`, `source`, `time` and `specversion` are filled in here, so that an event whose answer was lost has the \
same id when it is sent again. SIGINT or SIGTERM ends it after the request in flight, and it says which line was the \
last to be accepted.

The exit code is 0 only if every line was an event and every event was accepted.";

pub(crate) const EXAMPLES: &str = "Examples:
  hooks publish --to http://127.0.0.1:8080 < events.ndjson
  tail -F app.ndjson | hooks publish --to https://events.example.com --token-file token
  hooks publish --to http://127.0.0.1:8080 --rate 100 < events.ndjson";

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number of events a second".to_owned())?;
    if rate >= 0.001 && rate.is_finite() { Ok(rate) } else { Err("expected at least 0.001 events a second".to_owned()) }
}
