//! Appends events to a file as JSON lines.
//!
//! ```text
//!  batch ──▶ lock ▶ look at the end of the file ▶ one write of whole lines ▶ unlock ──▶ Ok
//!                                                                              flush = fdatasync
//! ```
//!
//! - **`Ok` means written**, by this call, to the file that the path led to. On a durable bus a flush
//!   puts it on the disk before any position passes it.
//! - **Readers see whole lines.** When a crash or a full disk cuts a line short, and it comes again,
//!   only its rest is written; lines that come again before it, and stand there, are not written twice.
//!   What can't be continued is ended with a newline, logged and counted ([`FileSink::repairs`]): the line
//!   of another hook or lane that writes to the same file, or one that a rotation parted from its batch.
//!   A file that is renamed after a crash and before the next start keeps the line that the crash tore: nothing
//!   leads back to its old name, and the line comes whole, as the first of the new file.
//! - **Rotate by rename** (logrotate without `copytruncate`) or remove the file: the path is looked
//!   at before every write, and opened again when it leads elsewhere. No signal is needed. A file
//!   that is truncated in place goes on from its new end.
//! - **Several hooks, lanes or processes** may append to one file. Hooks of one dispatcher share the
//!   open file; processes take an advisory lock (`flock`). Order is kept per hook and lane.
//! - **Nothing but a regular file** at an absolute path is written to. Links above the file are
//!   followed, and the folder they lead to must lie inside `allowed_roots` where these are set; a link
//!   in the place of the file is refused.
//!
//! It needs a tokio runtime, whose blocking threads touch the files. State is in the file alone: its end
//! says what was written. The feature `config` (default) is settings from config files.
//!
//! A full disk or a device error is tried again. A missing folder, missing permission, or anything else
//! in the file's place is a fault of the endpoint: the hook waits for somebody to put it right, and
//! loses nothing meanwhile. The program has to ignore SIGXFSZ for a limit of file size to be such an
//! error rather than its end.
//!
//! ```
//! use hooks_core::{sink::{Batch, SinkConfig, SinkContext}, Envelope, HookId, Sink};
//! use hooks_sink_file::FileConfig;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("logs/audit.jsonl");
//! let context = SinkContext::new(HookId::new("audit")?, Default::default());
//! let mut sink = FileConfig::new(&path).create_dirs(true).build(&context)?;
//!
//! let event = Envelope::from_json(br#"{"type":"invoice.paid","data":{"amount":42}}"#)?;
//! sink.deliver(&Batch::for_test(vec![event.clone()])).await?;
//! sink.flush().await?;
//! assert_eq!(std::fs::read_to_string(&path)?, format!("{}\n", event.json()));
//! # Ok(())
//! # }
//! ```
//!
//! Unix only.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod disk;
mod fault;
mod lane;
mod lines;
mod open;
mod path;
mod plugin;
mod progress;
mod redelivery;
mod sink;
mod tail;
mod write;
mod writer;

pub use config::{FileConfig, FileMode};
pub use lane::Repairs;
pub use sink::FileSink;

#[cfg(feature = "config")]
hooks_core::inventory::submit! { hooks_core::sink::SinkPlugin::of::<FileConfig>() }
