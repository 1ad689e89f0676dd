//! `hooks listen`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use hooks_core::{ByteSize, HumanDuration};

use crate::listen::Fault;

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// The port; 0 takes a free one and says which
    #[arg(short, long, default_value_t = 9000)]
    pub(crate) port: u16,
    /// The address to listen at; only this machine reaches the default
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// Verify Standard Webhooks signatures with this secret (`whsec_…`) or public key (`whpk_…`); several are
    /// tried in turn. A request without a right signature is answered 401
    #[arg(short, long, value_name = "SECRET")]
    pub(crate) secret: Vec<String>,
    /// A file with such secrets, one a line, so that other users of this machine don't see them
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Verify a plain HMAC of the body in this header, for example `X-Hub-Signature-256=my secret`
    #[arg(long, value_name = "HEADER=SECRET", value_parser = hmac)]
    pub(crate) hmac: Option<Hmac>,
    /// Status of answers; with --fail-rate: of failing ones [default: 200; failing: 503]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) status: Option<u16>,
    /// The share of requests that fail, from 0 to 1; with --misbehave: of those that it happens to
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) fail_rate: Option<f64>,
    /// Wait this long before each answer, for example 250ms
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub(crate) delay: HumanDuration,
    /// Ask for a pause with every answer that is no success, in whole seconds
    #[arg(long, value_name = "DURATION")]
    pub(crate) retry_after: Option<HumanDuration>,
    /// Refuse batches with an event of such a type with 400, for example `com.github.*`
    #[arg(long, value_name = "GLOB")]
    pub(crate) reject_type: Vec<String>,
    /// Name the refused events in a 200 (`batchItemFailures`) and take the others
    #[arg(long, requires = "reject_type")]
    pub(crate) item_failures: bool,
    /// Refuse larger bodies with 413
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    pub(crate) max_body: ByteSize,
    /// Grant senders who ask for permission (OPTIONS with `webhook-request-origin`) this many requests a minute, not any
    /// number
    #[arg(long, value_name = "NUMBER", conflicts_with = "no_grant")]
    pub(crate) allowed_rate: Option<NonZeroU32>,
    /// Grant nothing to senders who ask
    #[arg(long)]
    pub(crate) no_grant: bool,
    /// Misbehave on purpose
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) misbehave: Option<Fault>,
    /// Make what is random the same in each run
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Show the events' data, and bodies that hold no events
    #[arg(short, long)]
    pub(crate) data: bool,
    /// Print one line of JSON for each request
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) const ABOUT: &str = "Prints every request that arrives, at any path, with its events on stdout; \
verifies signatures; and fails, refuses or misbehaves when asked to. Each path counts as a hook of its own: events \
that were accepted twice, or after a later one, are marked. SIGINT or SIGTERM ends it with a summary on stderr.";

pub(crate) const EXAMPLES: &str = "Examples:
  hooks listen                                          accept and print everything
  hooks listen --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
  hooks listen --fail-rate 0.2 --retry-after 2s         fail every fifth request, by chance
  hooks listen --status 410                             want nothing any more
  hooks listen --reject-type 'com.github.push*'         refuse some events
  hooks listen --misbehave drip --fail-rate 0.1         answer some requests a byte a second
  hooks listen --json --data | jq .events               for other programs";

/// A header and the secret of its HMAC.
#[derive(Clone)]
pub(crate) struct Hmac {
    /// In lower case.
    pub(crate) header: String,
    pub(crate) secret: String,
}

impl std::fmt::Debug for Hmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hmac").field("header", &self.header).finish_non_exhaustive()
    }
}

fn hmac(text: &str) -> Result<Hmac, String> {
    match text.split_once('=') {
        Some((header, secret)) if !header.is_empty() && !secret.is_empty() => {
            Ok(Hmac { header: header.to_ascii_lowercase(), secret: secret.to_owned() })
        }
        _ => Err("expected the name of a header, `=`, and the secret".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("expected a number from 0 to 1".to_owned()) }
}
