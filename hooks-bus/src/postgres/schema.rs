//! The schema: its SQL, and whether a database has it.

use hooks_core::BusError;
use tokio_postgres::Client;
use uuid::Uuid;

use super::connect::{Wire, failed};

/// The version of the schema that this program knows.
const VERSION: i32 = 2;

/// The SQL that creates the schema of the bus, or brings an older one to its version, for those who run it themselves.
pub const POSTGRES_SCHEMA: &str = concat!(
    include_str!("sql/schema.sql"),
    "\n",
    include_str!("sql/publish.sql"),
    "\n",
    include_str!("sql/names.sql"),
    "\n",
    include_str!("sql/sequence.sql"),
    "\n",
    include_str!("sql/hooks.sql"),
);

/// Checks the schema; creates it, or brings it to this version, if `create`. Returns the log's id.
pub(super) async fn open((client, wire): (Client, Wire), create: bool) -> Result<Uuid, BusError> {
    let work = async {
        super::connect::set_up(&client).await?;
        let before = match check(&client).await? {
            Found::This(log) => return Ok(log),
            found => found,
        };
        if !create {
            return Err(BusError::Unavailable(before.explain()));
        }
        // Of several that start at once, one creates it.
        let lock = "BEGIN; SELECT pg_advisory_xact_lock(1752133483, 2)";
        client.batch_execute(lock).await.map_err(|error| failed("create the schema `hooks`", &error))?;
        if !matches!(check(&client).await?, Found::This(_)) {
            let created = client.batch_execute(POSTGRES_SCHEMA).await;
            created.map_err(|error| failed("create the schema `hooks`", &error))?;
            tracing::info!(version = VERSION, "created the schema `hooks`, or brought it to this version");
        }
        client.batch_execute("COMMIT").await.map_err(|error| failed("create the schema `hooks`", &error))?;
        match check(&client).await? {
            Found::This(log) => Ok(log),
            other => Err(BusError::Unavailable(other.explain())),
        }
    };
    tokio::select! {
        opened = work => opened,
        ended = wire => Err(ended.err().map_or(BusError::Closed, |error| failed("open the database", &error))),
    }
}

/// What a database has.
enum Found {
    /// A schema of this version, and the log's id.
    This(Uuid),
    Older(i32),
    Nothing,
}

impl Found {
    /// What is to be done by who does it.
    fn explain(&self) -> String {
        match self {
            Self::This(_) | Self::Nothing => {
                "the database has no schema `hooks` of this program: `hooks postgres schema` prints it, and `create = true` makes it"
                    .to_owned()
            }
            Self::Older(version) => format!(
                "the schema `hooks` has version {version}, and this program needs {VERSION}: \
                 `hooks postgres schema` prints what brings it there, and `create = true` does so"
            ),
        }
    }
}

/// # Errors
/// Also when the schema is of a newer version.
async fn check(client: &Client) -> Result<Found, BusError> {
    // A table of that name may be another program's.
    let there = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('hooks.meta') \
        AND attname = 'log' AND atttypid = 'uuid'::regtype)";
    let there = client.query_one(there, &[]).await;
    let is_there: bool = there.map_err(|error| failed("look for the schema `hooks`", &error))?.get(0);
    if !is_there {
        return Ok(Found::Nothing);
    }
    let read = client.query_opt("SELECT version, log::text FROM hooks.meta", &[]).await;
    let read = read.map_err(|error| failed("read the version of the schema `hooks`", &error))?;
    // Without one it is half made.
    let Some(row) = read else { return Ok(Found::Nothing) };
    let (version, log): (i32, &str) = (row.get(0), row.get(1));
    if version > VERSION {
        let text = format!(
            "the schema `hooks` has version {version}, and this program knows {VERSION}: use the newer program for both"
        );
        return Err(BusError::Unavailable(text));
    } else if version < VERSION {
        return Ok(Found::Older(version));
    }
    let log = Uuid::parse_str(log).map_err(|error| BusError::Unavailable(format!("the log's id: {error}")))?;
    Ok(Found::This(log))
}
