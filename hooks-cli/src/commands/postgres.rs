//! `hooks postgres`: what the Postgres bus needs in its database.

use super::print;
use crate::args::postgres::PostgresCommand;
use crate::exit::Exit;

pub(crate) fn run(command: &PostgresCommand) -> Exit {
    match command {
        PostgresCommand::Schema => print(hooks_bus::POSTGRES_SCHEMA),
    }
    Exit::Done
}
