//! A sink of somebody else's, found by its kind as a config file would name it.
//!
//! `sink.rs` is all that a crate of its own would hold: `cargo xtask new-sink NAME` makes one from it.
//!
//! ```text
//! cargo run -p hooks-core --example print
//! ```

mod sink;

use std::sync::Arc;

use hooks_core::{
    BoxError, HookId, SliceBuilder, serde_json,
    sink::{Batch, Shared, SinkContext, SinkPlugin},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let plugin = SinkPlugin::find("print").ok_or("the sink is not linked")?;
    let settings = serde_json::json!({ "prefix": "event: " });
    let factory = plugin.parse(settings).map_err(|problems| format!("{problems:?}"))?;

    let mut sink = factory.build(&SinkContext::new(HookId::new("example")?, Arc::<Shared>::default()))?;
    let mut slice = SliceBuilder::new("/example");
    slice.push_json(br#"{"type":"invoice.paid","data":{"number":7}}"#)?;
    slice.push_json(br#"{"type":"invoice.sent","data":{"number":8}}"#)?;
    sink.deliver(&Batch::for_test([slice.finish()])).await?;
    sink.close().await?;
    Ok(())
}
