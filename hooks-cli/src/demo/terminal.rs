//! A part of the terminal that is drawn again and again.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use super::screen::Look;
use crate::console::window;
use crate::listen::has_color;

/// Lines at the cursor. The cursor comes back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Lines that were drawn last.
    drawn: usize,
}

/// The abilities of stdout. Without a terminal: lines of any length, no colours.
pub(crate) fn look() -> Look {
    let (width, height) = window();
    let utf8 =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|set| !set.is_empty()));
    let is_utf8 = utf8.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"));
    Look { width, height, has_color: has_color(), has_unicode: is_utf8 && io::stdout().is_terminal() }
}

/// True if stdout is a terminal on which the cursor can be moved.
pub(crate) fn is_live() -> bool {
    io::stdout().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

impl Live {
    /// Draws these lines in the place of those before.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        // Hidden while it moves.
        let mut text = "\x1b[?25l".to_owned();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for line in lines {
            let _ = write!(text, "\r{line}\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        print(&text);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        print("\x1b[?25h");
    }
}

fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    // A terminal that has gone shows nothing more; what is checked is checked all the same.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
