//! A bus of somebody else's, found by its kind as a config file would name it.
//!
//! `bus.rs` is all that a crate of its own would hold.
//!
//! ```text
//! cargo run -p hooks-core --example vec_bus
//! ```

mod bus;
#[path = "../print/sink.rs"]
mod sink;

use hooks_core::{
    BoxError, Dispatcher, Hook, HookId, SliceBuilder,
    bus::{BusPlugin, Purpose},
    serde_json,
    sink::SinkPlugin,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let plugin = BusPlugin::find("vec").ok_or("the bus is not linked")?;
    let settings = serde_json::json!({ "max_events": 1000 });
    let factory = plugin.parse(settings).map_err(|problems| format!("{problems:?}"))?;
    let bus = factory.open(Purpose::Deliver).await?.bus;

    let dispatcher = Dispatcher::new(bus.clone());
    let plugin = SinkPlugin::find("print").ok_or("the sink is not linked")?;
    let sink = plugin.parse(serde_json::json!({})).map_err(|problems| format!("{problems:?}"))?;
    dispatcher.add(Hook::with_sink(HookId::new("example")?, sink)).await?;

    let mut slice = SliceBuilder::new("/example");
    slice.push_json(br#"{"type":"invoice.paid","data":{"number":7}}"#)?;
    slice.push_json(br#"{"type":"invoice.sent","data":{"number":8}}"#)?;
    bus.publish(slice.finish()).await?;

    let report = dispatcher.shutdown(None).await;
    if report.is_complete() { Ok(()) } else { Err(format!("not everything was printed: {report:?}").into()) }
}
