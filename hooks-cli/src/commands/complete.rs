//! What the shell's completion asks for: the names of hooks that fit the word at the cursor, one a line.
//!
//! `hooks completions` prints scripts that call this. It says nothing else, whatever is wrong, and takes no longer than
//! somebody waits who has pressed a key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clap::{Arg, Command, CommandFactory as _};
use hooks_core::{BoxError, HookId};
use hooks_server::admin::AdminClient;

use super::{print, runtime};
use crate::args::Cli;
use crate::config::Names;
use crate::exit::Exit;
use crate::operator::Managed;

/// The first argument of the calls.
pub(crate) const CALL: &str = "__hooks";

/// The time after which what was found until then is all.
const LIMIT: Duration = Duration::from_secs(2);

/// The most names that are printed: more than anybody reads.
pub(crate) const MOST: usize = 1_000;

/// The config file where the words name no place: the one in this folder.
const USUAL: &str = "hooks.toml";

/// What help calls the name of a hook.
const NAMES: [&str; 2] = ["ID", "HOOK"];

/// Prints the names for a command line, which is given as its words or, behind `--line`, as a text, up to the cursor.
pub(crate) fn run(args: &[String]) -> Exit {
    let words = match args {
        [flag, line] if flag == "--line" => split(line),
        words => words.to_vec(),
    };
    let Some(asked) = Asked::of(&words) else { return Exit::Done };
    let (begun, prefix) = (Instant::now(), asked.prefix.clone());
    let (found, names) = sync_channel(MOST);
    // On a thread of its own, because also a disk may hang.
    std::thread::spawn(move || asked.answer(&found));
    let mut fitting = BTreeSet::new();
    while let Ok(name) = names.recv_timeout(LIMIT.saturating_sub(begun.elapsed())) {
        if name.starts_with(&prefix) && fitting.len() < MOST {
            fitting.insert(name + "\n");
        }
    }
    print(&fitting.into_iter().collect::<String>());
    Exit::Done
}

/// A command line whose next word is the name of a hook.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    config: Option<PathBuf>,
    dir: Option<PathBuf>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    /// The beginning of the name.
    prefix: String,
}

impl Asked {
    /// `None` where no name of a hook comes next.
    fn of(words: &[String]) -> Option<Self> {
        let (prefix, words) = words.split_last()?;
        let mut command = Cli::command();
        command.build();
        let (mut command, mut positionals, mut open) = (&command, 0, None::<&Arg>);
        let mut asked = Self { prefix: prefix.clone(), ..Self::default() };
        for word in words.iter().skip(1) {
            if let Some(option) = open.take() {
                asked.set(option, word);
            } else if let Some((option, value)) = option(command, word) {
                match value {
                    Some(value) => asked.set(option, value),
                    None => open = option.get_action().takes_values().then_some(option),
                }
            } else if let Some(next) = command.find_subcommand(word).filter(|_| positionals == 0) {
                command = next;
            } else if !word.starts_with('-') {
                positionals += 1;
            }
        }
        let next = command.get_positionals().nth(positionals)?;
        let is_name =
            next.get_value_names().is_some_and(|names| names.iter().any(|name| NAMES.contains(&name.as_str())));
        let is_begun = HookId::new(prefix.as_str()).is_ok() && !prefix.starts_with('-');
        (is_name && open.is_none() && (prefix.is_empty() || is_begun)).then_some(asked)
    }

    fn set(&mut self, option: &Arg, value: &str) {
        match option.get_id().as_str() {
            "config" => self.config = Some(path(value)),
            "dir" => self.dir = Some(path(value)),
            "url" => self.url = Some(value.to_owned()),
            "token_file" => self.token_file = Some(path(value)),
            _ => {}
        }
    }

    /// Sends the names, as long as somebody takes them.
    fn answer(self, found: &SyncSender<String>) {
        let names = match (&self.url, &self.dir) {
            (None, None) => Names::read(self.config.as_deref().unwrap_or_else(|| Path::new(USUAL))),
            _ => Names { folder: self.dir.clone(), ..Names::default() },
        };
        if !names.hooks.iter().all(|name| found.send(name.clone()).is_ok()) {
            return;
        }
        let ask = async {
            let Some(client) = self.daemon(names.folder.as_deref()).await? else { return Ok(()) };
            Managed::new(client).names(&self.prefix, found).await
        };
        // Nobody would read why not.
        let _ = runtime().map_err(BoxError::from).and_then(|runtime| runtime.block_on(ask));
    }

    async fn daemon(&self, folder: Option<&Path>) -> Result<Option<AdminClient>, BoxError> {
        #[cfg(feature = "http")]
        if let Some(url) = &self.url {
            let remote = crate::operator::Remote::new(crate::remote::address(url)?, self.token_file.as_deref())?;
            return Ok(Some(AdminClient::over(remote)));
        }
        match folder {
            Some(folder) => Ok(AdminClient::connect(folder).await?),
            None => Ok(None),
        }
    }
}

/// The option that a word is, and the value that it holds, if it does.
fn option<'a, 'b>(command: &'a Command, word: &'b str) -> Option<(&'a Arg, Option<&'b str>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        return Some((command.get_arguments().find(|arg| arg.get_long() == Some(name))?, value));
    }
    let mut chars = word.strip_prefix('-')?.chars();
    let short = chars.next()?;
    let rest = chars.as_str();
    let value = rest.strip_prefix('=').or((!rest.is_empty()).then_some(rest));
    Some((command.get_arguments().find(|arg| arg.get_short() == Some(short))?, value))
}

/// A path as a shell would read it.
fn path(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(below), Some(home)) => Path::new(&home).join(below),
        _ => PathBuf::from(text),
    }
}

/// The words of a line, as a shell reads them; the last one is that at its end, also where that is empty.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_begun, mut quote) = (Vec::new(), String::new(), false, None);
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (char, Some(end)) if char == end => quote = None,
            (char, Some(_)) => word.push(char),
            ('\'' | '"', None) => quote = Some(char),
            (char, None) if char.is_whitespace() => {
                if std::mem::take(&mut is_begun) {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (char, None) => word.push(char),
        }
        is_begun = true;
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Option<Asked> {
        Asked::of(&split(line))
    }

    fn in_file(file: &str, prefix: &str) -> Option<Asked> {
        Some(Asked { config: Some(file.into()), prefix: prefix.to_owned(), ..Asked::default() })
    }

    #[test]
    fn a_name_comes_where_a_command_takes_one() {
        for line in [
            "hooks get -c a.toml bil",
            "hooks get --config a.toml bil",
            "hooks --log debug delete --config=a.toml bil",
            "hooks test -ca.toml bil",
            "hooks  dead-letters  replay -c 'a.toml' --dry-run bil",
            "hooks dead-letters show -c \"a.toml\" --id 3 bil",
            "hooks enable -c a.tom\\l bil",
        ] {
            assert_eq!(asked(line), in_file("a.toml", "bil"), "{line}");
        }
        assert_eq!(asked("hooks forget "), Some(Asked::default()));
        let asked_there = asked("hooks disable --url https://h:1/ --token-file t b").unwrap();
        assert_eq!((asked_there.url.as_deref(), asked_there.token_file), (Some("https://h:1/"), Some("t".into())));
    }

    #[test]
    fn elsewhere_comes_none() {
        for line in [
            "",
            "hooks",
            "hooks ",
            "hooks get -c ",
            "hooks get -c a.toml",
            "hooks get -c a.toml --jso",
            "hooks get -c a.toml billing ",
            "hooks status -c a.toml ",
            "hooks dead-letters show -c a.toml --id ",
            "hooks man ",
            "hooks nothing ",
        ] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
