//! The command with a sink whose HTTP client takes the cryptography that the process has for its default, as many do,
//! and panics where there is none.
//!
//! `echo '{"type":"a"}' | cargo run -p hooks-cli --example other_tls -- pipe -c FILE`, with `kind = "other_tls"`

use hooks_core::{
    BoxError, Sink, async_trait, inventory, schemars, serde,
    sink::{Batch, Delivered, DeliveryError, SinkConfig, SinkContext, SinkPlugin},
};

/// Has no options.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "hooks_core::serde", deny_unknown_fields)]
#[schemars(crate = "hooks_core::schemars")]
struct OtherTlsConfig {}

inventory::submit! { SinkPlugin::of::<OtherTlsConfig>() }

impl SinkConfig for OtherTlsConfig {
    const KIND: &'static str = "other_tls";
    type Sink = OtherTls;

    fn build(&self, _context: &SinkContext) -> Result<OtherTls, BoxError> {
        Ok(OtherTls { _client: reqwest::Client::new() })
    }
}

/// Prints what it would send.
struct OtherTls {
    _client: reqwest::Client,
}

#[async_trait]
impl Sink for OtherTls {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        batch.lines().for_each(|line| println!("{line}"));
        Ok(Delivered::all())
    }
}

fn main() -> std::process::ExitCode {
    hooks_cli::main()
}
