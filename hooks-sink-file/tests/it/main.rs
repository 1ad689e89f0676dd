//! The file sink on real files, folders, disks and processes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cancel;
mod conformance;
mod disk;
mod logs;
mod paths;
mod plugin;
mod process;
mod rotation;
mod support;
mod torn;
mod write;
