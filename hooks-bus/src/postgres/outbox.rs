//! Publishes within an application's own transaction: with it, or not at all.
//!
//! Events are made and checked as for any bus. They go to the database as the one parameter of one statement, [`PUBLISH`],
//! which any driver can run. [`publish`] does so with `tokio-postgres`; with sqlx it is
//!
//! ```text
//! sqlx::query(outbox::PUBLISH).bind(outbox::parameter(&events)?).execute(&mut *transaction).await?;
//! ```
//!
//! A whole program with each is in `docs/postgres.md`.

use hooks_core::bus::{Published, refuse_reserved};
use hooks_core::{BusError, Slice};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, Transaction};

use super::connect::said;
use super::publish::fits;

/// Publishes events with the transaction that runs it. Its parameter is a text, which [`parameter`] makes. Returns a row
/// with the id of each event.
pub const PUBLISH: &str = "SELECT hooks.publish(event) FROM json_array_elements($1::text::json) AS event";

/// The parameter of [`PUBLISH`]: the events as a JSON array.
///
/// ```
/// use hooks_bus::postgres::outbox;
/// use hooks_core::SliceBuilder;
///
/// let mut events = SliceBuilder::new("/shop");
/// events.push_json(br#"{"type":"order.created","data":{"total":7}}"#)?;
/// events.push_json(br#"{"type":"invoice.created"}"#)?;
/// let parameter = outbox::parameter(&events.finish())?;
/// assert!(parameter.starts_with("[{") && parameter.contains(r#""data":{"total":7}},{"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When a type is the dispatcher's own, or the events are more than 256 MiB.
pub fn parameter(events: &Slice) -> Result<String, BusError> {
    refuse_reserved(events)?;
    fits(events)?;
    let events: Vec<&str> = events.iter().map(|event| event.json()).collect();
    Ok(format!("[{}]", events.join(",")))
}

/// Publishes events with a transaction: they are delivered once it has committed, and never if it is rolled back. Their
/// order is that of the calls.
///
/// # Errors
/// [`Full`](BusError::Full) when the log has reached its `max_bytes`; [`TooLarge`](BusError::TooLarge) when an event has more
/// than 64 MiB; [`Unavailable`](BusError::Unavailable) when the database refuses them for another reason or can't be
/// reached; and as [`parameter`]. Unless it was that, the transaction is aborted.
///
/// # Cancel safety
/// Not cancel safe: roll the transaction back.
pub async fn publish(transaction: &Transaction<'_>, events: &Slice) -> Result<Published, BusError> {
    let parameter = parameter(events)?;
    transaction.execute(PUBLISH, &[&parameter]).await.map_err(|error| refused(&error))?;
    Ok(Published::new(events.len()))
}

fn refused(error: &Error) -> BusError {
    let text = format!("publish: {}", said(error));
    match error.code() {
        Some(&SqlState::DISK_FULL) => BusError::Full(text),
        Some(&SqlState::PROGRAM_LIMIT_EXCEEDED) => BusError::TooLarge(text),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            BusError::Unavailable(format!("{text}: the role needs `GRANT USAGE ON SCHEMA hooks`"))
        }
        Some(&(SqlState::UNDEFINED_FUNCTION | SqlState::INVALID_SCHEMA_NAME)) => BusError::Unavailable(format!(
            "{text}: is this the database of the bus? `hooks postgres schema` prints the schema"
        )),
        _ => BusError::Unavailable(text),
    }
}
