//! The output on stderr: logs, messages, and on a terminal a progress bar that stays below them.

mod spool;

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::LogFormat;
use spool::Spool;

/// Stderr. Clones write to the same one. Whether anybody reads it, or can, decides nothing but what is seen.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    bar: Arc<OnceLock<ProgressBar>>,
    format: LogFormat,
    spool: Spool,
}

/// The longest time that a reader may take for the next line, before output counts as read by nobody.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Columns and rows of the terminal behind stdout. Without one there is no end of room.
pub(crate) fn window() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((usize::MAX, usize::MAX), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// Prints a line on stderr, for a command that does one thing and ends.
pub(crate) fn complain(text: impl Display) {
    // Nobody is left to be told when stderr is gone or its disk is full.
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

impl Console {
    /// Sets up logging at this level, or by these directives. What a daemon says never waits for its reader: when
    /// too much is unread, lines are lost and counted. Others wait as long as somebody reads.
    ///
    /// # Errors
    /// When that is no level and no list of directives.
    pub(crate) fn with_logs(level: &str, format: LogFormat, is_daemon: bool) -> Result<Self, String> {
        let filter = filter(level)?;
        let bar = Arc::<OnceLock<ProgressBar>>::default();
        let timeout = if is_daemon { Duration::ZERO } else { WRITE_TIMEOUT };
        let spool = Spool::new(Below(bar.clone()), timeout, lost).map_err(|error| error.to_string())?;
        let console = Self { bar, format, spool };
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
        // A program that set up logging before it called `main` keeps its own.
        let _ = match format {
            LogFormat::Text => logs.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
            LogFormat::Json => {
                logs.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
            }
        };
        Ok(console)
    }

    /// The format of logs.
    pub(crate) fn format(&self) -> LogFormat {
        self.format
    }

    /// Prints a line.
    pub(crate) fn say(&self, text: impl Display) {
        self.spool.push(format!("{text}\n").as_bytes());
    }

    /// The end of the process: what was said is written, if somebody reads it.
    pub(crate) fn close(&self) {
        self.spool.flush(WRITE_TIMEOUT);
    }

    /// Shows progress from now on, if stderr is a terminal: what is `done` (delivered, say). True when it does.
    pub(crate) fn start_progress(&self, done: &str) -> bool {
        if !io::stderr().is_terminal() {
            return false;
        }
        let template = format!("{{spinner}} {{elapsed}} [{{bar:24}}] {{human_pos}} of {{human_len}} {done}, {{msg}}");
        let bar = self.bar.get_or_init(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()));
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        true
    }

    /// Shows how far it is.
    pub(crate) fn progress(&self, done: u64, of: u64, message: String) {
        if let Some(bar) = self.bar.get() {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(message);
        }
    }

    /// Takes the bar away.
    pub(crate) fn end_progress(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

fn lost(lines: u64) {
    tracing::warn!(lines, "log lines were lost: nobody read them");
}

fn filter(directives: &str) -> Result<EnvFilter, String> {
    // A single word is a level; to the parser of directives it would be the name of a crate, too, and
    // a misspelt level would silence everything else.
    let words = directives.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    for word in words {
        if word.parse::<LevelFilter>().is_err() {
            return Err(format!("`{word}` is no level: error, warn, info, debug, trace or off"));
        }
    }
    EnvFilter::builder().parse(directives).map_err(|error| error.to_string())
}

impl Write for &Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.spool.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stderr, with the progress bar, where there is one, kept below what is written.
struct Below(Arc<OnceLock<ProgressBar>>);

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write(bytes);
        // Whoever uses the bar waits until this is written: only where there is a terminal.
        self.0.get().map_or_else(write, |bar| bar.suspend(write))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}
