//! Every command and config of the README and of `docs/` does what it says, and what they show is what is printed. Their
//! Rust is compiled with the documentation. A block that nothing here runs is an error.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::command::{Ended, Place, Running, examples, run};
use crate::docs::commands;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where `hooks listen` listens in documents.
const RECEIVER: &str = "127.0.0.1:9000";

/// A port that is free, below those that the system gives to whoever asks for any. Each call takes another.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut ports = std::iter::repeat_with(|| first + TAKEN.fetch_add(1, Ordering::Relaxed)).take(1_000);
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A text of the repository, by its path there.
fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// Those of the folder `docs`, by their paths, without the table of contents.
fn reference() -> Vec<String> {
    let files = std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = files.map(|name| format!("docs/{}", name.to_str().unwrap())).collect();
    names.sort();
    names.retain(|name| name.ends_with(".md") && name != "docs/SUMMARY.md");
    names
}

/// A document's code blocks, each with its language.
fn blocks(document: &str) -> Vec<(String, String)> {
    let text = read(document);
    let fences = text.split("```").skip(1).step_by(2);
    fences.map(|block| block.split_once('\n').unwrap()).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

fn blocks_of(document: &str, language: &str) -> impl Iterator<Item = String> {
    blocks(document).into_iter().filter(move |(name, _)| name == language).map(|(_, text)| text)
}

/// Somebody who tries what a document says: in a folder, with commands that run in the background.
struct Reader {
    place: Place,
    /// The first config of the document, else the README's.
    config: String,
    /// Replacements of addresses that the document names.
    addresses: Vec<(&'static str, String)>,
    background: Vec<Running>,
    /// Everything that was printed.
    printed: String,
}

impl Reader {
    /// In a folder with the examples, and the config that the document says to write.
    fn new(document: &str) -> Self {
        let place = Place::new("");
        std::fs::create_dir(place.path("examples")).unwrap();
        let files = std::fs::read_dir(examples()).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|file| file.is_file()) {
            std::fs::copy(&file, place.path("examples").join(file.file_name().unwrap())).unwrap();
        }
        let mut configs = blocks_of(document, "toml").chain(blocks_of("README.md", "toml"));
        let config = configs.find(|block| block.contains("[[hooks]]")).unwrap();
        // Documents name the receiver before it listens.
        let addresses = vec![(RECEIVER, format!("127.0.0.1:{}", free_port()))];
        let reader = Self { place, config, addresses, background: Vec::new(), printed: String::new() };
        reader.write_config();
        reader
    }

    /// Runs a line of shell.
    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["cargo", "xtask", "test"] => {
                let ci = read(".ci/run");
                assert!(ci.lines().any(|command| command == line), "what CI runs, too");
            }
            ["cargo", "demo"] => {
                let alias = read(".cargo/config.toml");
                assert!(alias.lines().any(|line| line.starts_with("demo = \"run ") && line.ends_with(" -- demo\"")));
                self.shell("hooks demo --seconds 1");
            }
            ["hooks", "listen", arguments @ .., "&"] => {
                let port = self.here(RECEIVER).rsplit(':').next().unwrap().to_owned();
                let arguments = [&["listen", "--port", &port], arguments].concat();
                self.start(&arguments, "listening at ", RECEIVER);
            }
            ["hooks", "serve", arguments @ .., "&"] => {
                // Without a config file nothing else says where.
                let at: &[&str] = if arguments.contains(&"--to") { &["--listen", "127.0.0.1:0"] } else { &[] };
                let arguments: Vec<_> = arguments.iter().map(|word| word.trim_matches('\'')).collect();
                let arguments = [&["serve"], &arguments[..], at].concat();
                self.start(&arguments, "serving address=", "127.0.0.1:8080");
            }
            ["curl", ..] => self.shell(&line.replace("curl ", "curl --fail --silent --show-error ")),
            ["pkill", "-HUP", "-f", "'hooks", "serve'"] => {
                let daemon = self.background.iter_mut().last().unwrap();
                daemon.signal("HUP");
                daemon.wait_for("read again and applied");
            }
            ["hooks" | "echo" | "sed" | "grep" | "cp", ..] => self.shell(line),
            _ => panic!("no test runs this line of a document: {line}"),
        }
    }

    /// Runs to the end, which has to be a good one.
    fn shell(&mut self, line: &str) {
        let binary: PathBuf = assert_cmd::cargo::cargo_bin!("hooks").into();
        let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-ec", &self.here(line)]).current_dir(self.place.path(".")).env("PATH", path);
        let Ended { code, out, err } = run(command, b"");
        assert_eq!(code, Some(0), "{line}\n{err}");
        self.printed += &(out + &err);
    }

    /// Starts a command, which says where it listens.
    fn start(&mut self, arguments: &[&str], says: &str, address: &'static str) {
        let mut running = self.place.start_with(arguments);
        let line = running.wait_for(says);
        let real = line.split(['=', ' ', '/']).find(|word| word.starts_with("127.0.0.1:")).unwrap();
        self.addresses.push((address, real.to_owned()));
        // Receivers end after those who deliver to them.
        let place = if address == RECEIVER { 0 } else { self.background.len() };
        self.background.insert(place, running);
        self.write_config();
    }

    /// With the addresses that there really are.
    fn here(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (name, real)| text.replace(name, real))
    }

    fn write_config(&self) {
        let config = format!("ingest.listen = '127.0.0.1:0'\n{}", self.here(&self.config));
        std::fs::write(self.place.path("hooks.toml"), config).unwrap();
    }

    /// Ends what runs in the background, the last first, and returns everything that was printed.
    fn end(mut self) -> (String, Place) {
        while let Some(running) = self.background.pop() {
            running.signal("TERM");
            let Ended { code, out, err } = running.wait();
            assert_eq!(code, Some(0), "{err}");
            self.printed += &(out + &err);
        }
        (self.printed, self.place)
    }
}

/// True if this line was printed, but for numbers.
fn is_printed(line: &str, printed: &str) -> bool {
    let has_digit = |word: &str| word.contains(|char: char| char.is_ascii_digit());
    let alike = |(shown, printed): (&str, &str)| shown == printed || (has_digit(shown) && has_digit(printed));
    printed.lines().any(|printed| {
        let (shown, printed): (Vec<_>, Vec<_>) =
            (line.split_whitespace().collect(), printed.split_whitespace().collect());
        shown.len() == printed.len() && shown.into_iter().zip(printed).all(alike)
    })
}

#[test]
fn every_command_of_the_readme_works_and_prints_what_is_shown() {
    let (printed, place) = follow("README.md");
    // Two by hand, one of them published, and the examples; those that are no invoices went to one hook only.
    let invoices = 2;
    assert_eq!(place.read("audit.jsonl").lines().count(), 329 + invoices);
    // The first was sent without a config file.
    assert_eq!(printed.matches("    invoice.paid  ").count(), 1 + invoices);
}

#[test]
fn every_command_of_the_reference_works_and_prints_what_is_shown() {
    for document in reference() {
        let (printed, _) = follow(&document);
        if document == "docs/operations.md" {
            check_metrics(&printed);
        }
    }
}

/// Does what a document says, and compares what it shows.
fn follow(document: &str) -> (String, Place) {
    let mut reader = Reader::new(document);
    for block in blocks_of(document, "sh") {
        block.lines().for_each(|line| reader.run(line));
    }
    let (printed, place) = reader.end();
    for line in blocks_of(document, "text").flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()) {
        assert!(is_printed(&line, &printed), "{document} shows `{line}`, which was not printed:\n{printed}");
    }
    (printed, place)
}

/// The table of metrics has each that a daemon on disk shows, and no other.
fn check_metrics(printed: &str) {
    let operations = read("docs/operations.md");
    let table = operations.split("| metric | tells |").nth(1).unwrap().split("\n\n").next().unwrap();
    let shown: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    assert!(shown.len() > 10, "{printed}");
    for name in &shown {
        assert!(table.contains(&format!("`{name}`")), "the table has no `{name}`");
    }
    for name in table.split('`').filter(|name| name.starts_with("hooks_")) {
        assert!(shown.contains(&name), "no daemon shows `{name}`");
    }
}

#[test]
fn every_block_is_run_by_a_test() {
    let mut documents = reference();
    assert!(documents.len() >= 6, "{documents:?}");
    documents.push("README.md".to_owned());
    for document in documents {
        for (language, text) in blocks(&document) {
            match language.as_str() {
                // By the tests above.
                "sh" | "text" => {}
                // By the tests of the bus and of daemons, and by `cargo xtask integration postgres`.
                "sql" | "rust" | "python" | "js" if document == "docs/postgres.md" => {}
                // By the documentation's tests, which compile it.
                "rust" | "rust,no_run" if is_compiled(&document) => {}
                "toml" => {
                    let ended = Place::new(&text).run(&["check", "-c", "hooks.toml"]);
                    assert_eq!(ended.code, Some(0), "{document}: {text}\n{}", ended.err);
                }
                other => panic!("{document}: no test runs blocks of `{other}`:\n{text}"),
            }
        }
    }
}

/// True if the documentation's tests compile the document's Rust.
fn is_compiled(document: &str) -> bool {
    read("hooks-cli/src/lib.rs").contains(&format!("#[doc = include_str!(\"../../{document}\")]"))
}

#[test]
fn the_readme_is_short_and_names_every_document() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 180, "{} lines", readme.lines().count());
    for document in reference() {
        assert!(readme.contains(&format!("]({document})")), "the README has no link to {document}");
    }
}

#[test]
fn the_table_has_every_command() {
    let guide = read("docs/guide.md");
    let table = guide.split("| command | does |").nth(1).unwrap().split("\n\n").next().unwrap();
    for command in commands() {
        let named = [format!("`hooks {command} "), format!("`hooks {command}`"), format!(", `{command}`")];
        assert!(named.iter().any(|named| table.contains(named)), "the table has no `{command}`");
    }
    for row in table.lines().filter_map(|line| line.strip_prefix("| `hooks ")) {
        let name = row.split([' ', '`']).next().unwrap();
        assert!(commands().iter().any(|command| command == name), "there is no command `{name}`");
    }
}

/// The reference (its tables of settings) names every setting that the schema has.
#[test]
fn the_reference_is_complete() {
    let schema: serde_json::Value = serde_json::from_str(&Place::new("").run(&["check", "--schema"]).out).unwrap();
    let documents = read("docs/configuration.md") + &read("docs/nats.md") + &read("docs/postgres.md");
    let tables = documents.split("| setting |").skip(1).filter_map(|table| table.split("\n\n").next());
    let reference: String = tables.collect();
    let hook = &schema["properties"]["hooks"]["items"]["properties"];
    let mut settings: Vec<&String> = hook.as_object().unwrap().keys().collect();
    for table in ["batch", "retry", "queue", "rate_limit"] {
        let schema = &hook[table];
        let table = if schema["anyOf"].is_array() { &schema["anyOf"][0] } else { schema };
        settings.extend(table["properties"].as_object().unwrap().keys());
    }
    settings.extend(schema["properties"]["ingest"]["properties"].as_object().unwrap().keys());
    for bus in schema["properties"]["bus"]["oneOf"].as_array().unwrap() {
        settings.extend(bus["properties"].as_object().unwrap().keys());
    }
    assert!(settings.len() > 40);
    for name in settings {
        let named = [format!(".{name}`"), format!("`{name}`"), format!(".{name}.")];
        assert!(named.iter().any(|named| reference.contains(named)), "the reference says nothing of `{name}`");
    }
}

/// The table of a file's options has each. (That of a webhook's is compared with its defaults in `options`.)
#[test]
fn the_options_of_a_file_are_complete() {
    let reference = read("docs/configuration.md");
    let section = reference.split("## Options of a file").nth(1).unwrap().split("\n#").next().unwrap();
    let printed = Place::new("").run(&["sinks", "file"]).out;
    let options = printed.lines().filter_map(|line| Some(line.strip_prefix("  ")?.split_once("  (")?.0));
    let options: Vec<_> = options.collect();
    assert!(options.len() >= 5, "{printed}");
    for option in options {
        assert!(section.contains(&format!("| `{option}` |")), "the table has no `{option}`");
    }
}
