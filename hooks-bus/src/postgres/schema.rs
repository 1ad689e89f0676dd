//! The schema: its SQL, and whether a database has it.

use hooks_core::BusError;
use tokio_postgres::Client;
use uuid::Uuid;

use super::connect::{Wire, failed};

/// The version of the schema that this program knows.
const VERSION: i32 = 1;

/// The SQL that creates the schema of the bus, for those who run it themselves.
pub const POSTGRES_SCHEMA: &str = concat!(
    include_str!("sql/schema.sql"),
    "\n",
    include_str!("sql/publish.sql"),
    "\n",
    include_str!("sql/sequence.sql"),
    "\n",
    include_str!("sql/hooks.sql"),
);

/// Checks the schema; creates it, if `create`, where there is none. Returns the log's id.
pub(super) async fn open((client, wire): (Client, Wire), create: bool) -> Result<Uuid, BusError> {
    let work = async {
        super::connect::set_up(&client).await?;
        if let Some(log) = check(&client).await? {
            return Ok(log);
        }
        if !create {
            let text =
                "the database has no schema `hooks`: `hooks postgres schema` prints it, and `create = true` makes it";
            return Err(BusError::Unavailable(text.to_owned()));
        }
        // Of several that start at once, one creates it.
        let lock = "BEGIN; SELECT pg_advisory_xact_lock(1752133483, 2)";
        client.batch_execute(lock).await.map_err(|error| failed("create the schema `hooks`", &error))?;
        if check(&client).await?.is_none() {
            let created = client.batch_execute(POSTGRES_SCHEMA).await;
            created.map_err(|error| failed("create the schema `hooks`", &error))?;
            tracing::info!(version = VERSION, "created the schema `hooks`");
        }
        client.batch_execute("COMMIT").await.map_err(|error| failed("create the schema `hooks`", &error))?;
        check(&client).await?.ok_or_else(|| BusError::Unavailable("the schema `hooks` is gone".to_owned()))
    };
    tokio::select! {
        opened = work => opened,
        ended = wire => Err(ended.err().map_or(BusError::Closed, |error| failed("open the database", &error))),
    }
}

/// The log's id, if there is a schema, of this version.
async fn check(client: &Client) -> Result<Option<Uuid>, BusError> {
    let there = client.query_one("SELECT to_regclass('hooks.meta') IS NOT NULL", &[]).await;
    let is_there: bool = there.map_err(|error| failed("look for the schema `hooks`", &error))?.get(0);
    if !is_there {
        return Ok(None);
    }
    let read = client.query_one("SELECT version, log::text FROM hooks.meta", &[]).await;
    let row = read.map_err(|error| failed("read the version of the schema `hooks`", &error))?;
    let (version, log): (i32, &str) = (row.get(0), row.get(1));
    if version != VERSION {
        let text = format!(
            "the schema `hooks` has version {version}, and this program knows {VERSION}: use the newer program for both"
        );
        return Err(BusError::Unavailable(text));
    }
    let log = Uuid::parse_str(log).map_err(|error| BusError::Unavailable(format!("the log's id: {error}")))?;
    Ok(Some(log))
}
