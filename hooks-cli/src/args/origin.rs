//! A config file, or arguments that stand for one with a single hook.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("origin").required(true).args(["config", "to"]))]
pub(crate) struct OriginArgs {
    /// The config file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
}

/// One hook.
#[derive(Debug, Args)]
#[command(next_help_heading = "One hook, without a config file")]
pub(crate) struct HookArgs {
    /// Deliver to this webhook (http:// or https://), or append to this file
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) to: Option<String>,
    /// Only events of these types: globs such as `invoice.*`, with commas between them
    #[arg(long, value_name = "GLOBS", value_delimiter = ',', value_parser = trimmed, conflicts_with = "config")]
    pub(crate) types: Vec<String>,
    /// Sign requests with this secret. Others on this machine see it, in `ps` say: `'${NAME}'`, in single quotes, takes
    /// it from the environment
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["config", "secret_file"])]
    pub(crate) secret: Option<String>,
    /// Sign requests with the secret in this file, which `serve` reads again at SIGHUP
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Deliver nothing: print the config file that does the same
    #[arg(long, conflicts_with = "config")]
    pub(crate) print_config: bool,
}

/// A list is written as `a, b`, too.
#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn trimmed(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// Take events at this address [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config", help_heading = "One hook, without a config file",
          value_parser = loopback)]
    pub(crate) listen: Option<SocketAddr>,
    /// Keep events in this folder [default: hooks-data]
    #[arg(long, value_name = "DIR", conflicts_with = "config", help_heading = "One hook, without a config file")]
    pub(crate) dir: Option<PathBuf>,
}

/// An address at which nobody else can publish: no argument sets a token.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an IP address and a port, for example 127.0.0.1:8080 or [::1]:8080".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{} is not a loopback address, so others could publish: that takes a config file with `ingest.token_file` or \
         `api.tokens`; with a loopback address --print-config prints one to begin with",
        address.ip()
    ))
}
