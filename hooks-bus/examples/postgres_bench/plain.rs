//! What a client does that has a table and nothing else.

use hooks_core::BoxError;
use tokio_postgres::Client;

use super::{SLICE, event};

pub(crate) async fn insert(client: &Client, count: usize) -> Result<(), BoxError> {
    client.batch_execute("CREATE TABLE plain (id bigserial PRIMARY KEY, event json NOT NULL)").await?;
    let insert =
        client.prepare("INSERT INTO plain (event) SELECT event::json FROM unnest($1::text[]) AS event").await?;
    for first in (0..count).step_by(SLICE) {
        let events: Vec<String> = (first..first + SLICE).map(|number| event("", number)).collect();
        client.execute(&insert, &[&events]).await?;
    }
    Ok(())
}

pub(crate) async fn select(client: &Client, count: usize) -> Result<(), BoxError> {
    let select = client.prepare("SELECT id, event::text FROM plain WHERE id > $1 ORDER BY id LIMIT 1000").await?;
    let (mut after, mut read, mut bytes) = (0_i64, 0, 0);
    while read < count {
        let rows = client.query(&select, &[&after]).await?;
        after = rows.last().ok_or("the table ended")?.get(0);
        read += rows.len();
        bytes += rows.iter().map(|row| row.get::<_, &str>(1).len()).sum::<usize>();
    }
    client.batch_execute("DROP TABLE plain").await?;
    if bytes > 0 { Ok(()) } else { Err("no bytes".into()) }
}
