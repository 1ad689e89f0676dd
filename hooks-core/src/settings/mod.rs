//! Settings of hooks, sinks and buses: from JSON to what runs, with everything that is wrong said at once.
//!
//! ```text
//! JSON ─▶ Draft ─▶ serde, one error after the other: what is wrong is noted and taken out, the rest is read again
//!           └── a sink's or bus's own table: its plugin, by `kind` ──▶ HookSettings, or Faults with JSON pointers
//! ```
//!
//! What is written in another notation becomes JSON first; whoever knows where each value stands finds a fault's place
//! by its pointer. What could not become JSON is [broken](Draft::add_broken): wrong, but not missing.

mod draft;
mod fault;
mod hook;
mod hook_reader;
mod options;
mod plugin;
mod read;
mod reader_schema;
mod redactor;
mod schema;
mod shape;
mod sound;
#[cfg(test)]
mod tests;
mod wording;

pub use draft::Draft;
pub use fault::{About, Fault, pointer, push_pointer, tokens};
pub use hook::{HookSettings, SinkSettings};
pub use hook_reader::{HookReader, Strangers};
pub use options::HookOptions;
pub use plugin::{kinds, read_plugin};
pub use read::read;
pub use schema::of_plugin;
pub use shape::{Shape, summary};
pub use wording::{Notation, unknown_field};
