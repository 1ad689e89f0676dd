//! Options of `hooks postgres`.

use clap::Subcommand;

pub(crate) const EXAMPLES: &str = "Examples:
  hooks postgres schema | psql -v ON_ERROR_STOP=1 -1 shop";

#[derive(Debug, Subcommand)]
pub(crate) enum PostgresCommand {
    /// Print the SQL that creates the schema `hooks`, for those who run it themselves
    #[command(after_help = EXAMPLES)]
    Schema,
}
