//! A whole service with hooks inside: a shop whose customers register webhooks while it runs.
//!
//! ```text
//! cargo run -p hooks-server --example embed
//!
//! curl -X PUT -H 'Authorization: Bearer key-of-acme' -H 'Content-Type: application/json' \
//!   http://127.0.0.1:8080/webhooks/v1/hooks/acme-orders \
//!   -d '{"types":["order.*"],"sink":{"kind":"http","url":"http://127.0.0.1:9000/","secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}}'
//! curl -H 'Content-Type: application/json' http://127.0.0.1:8080/orders -d '{"customer":"acme","number":7,"total":12.5}'
//! curl -H 'Authorization: Bearer key-of-acme' http://127.0.0.1:8080/webhooks/v1/hooks
//! curl -H 'Authorization: Bearer key-of-the-operators' http://127.0.0.1:8080/operators/v1/status
//! curl -H 'Authorization: Bearer key-of-the-operators' http://127.0.0.1:8080/operators/metrics
//! ```
//!
//! `shop.rs` is the service, `accounts.rs` its own authentication, `receiver.rs` the side of a customer.

mod accounts;
mod receiver;
mod shop;
#[cfg(test)]
mod tests;

use std::path::Path;

use hooks_core::BoxError;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let customer = TcpListener::bind("127.0.0.1:9000").await?;
    let (router, mut received) = receiver::router("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")?;
    tokio::spawn(async move { axum::serve(customer, router).await });
    tokio::spawn(async move {
        while let Some(event) = received.recv().await {
            println!("the customer has: {event}");
        }
    });

    let shop = shop::Shop::open(Path::new("shop-data")).await?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("the shop is at http://{}; Ctrl-C ends it", listener.local_addr()?);
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let report = shop.serve(listener, stop).await?;
    for hook in report.hooks {
        println!("{}: {} delivered, {} left behind", hook.id, hook.counts.delivered, hook.left_behind().events);
    }
    Ok(())
}
