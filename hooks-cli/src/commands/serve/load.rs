//! From the config file to what `serve` needs.

use std::io;
use std::path::Path;

use hooks_core::Overflow;
use hooks_server::Tokens;

use crate::config::{self, Config, Problem, Problems, WithoutBus};
use crate::files::{self, Fingerprint, Fingerprints};

/// A config that can be served, and the tokens that it names.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) tokens: Option<Tokens>,
    /// The bus's credentials as they were when they were read, by the setting that names their file.
    pub(super) credentials: Vec<(&'static str, Fingerprint)>,
}

/// Reads the config file and the token file.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn load(file: &Path) -> Result<Loaded, Problems> {
    let config = config::load(file, WithoutBus::OnDisk)?;
    let mut list: Vec<Problem> = problems(&config).collect();
    list.extend(config::too_large_for(&config.ingest, &config.bus).map(|why| about_ingest("max_body", &why)));
    let tokens = config.ingest.token_file.as_deref().map(|path| (path, read_tokens(path)));
    let tokens = tokens.and_then(|(path, tokens)| match tokens {
        Ok(tokens) => Some(tokens),
        Err(error) => {
            list.push(about_ingest("token_file", &format!("{}: {error}", path.display())));
            None
        }
    });
    let mut fingerprints = Fingerprints::default();
    let credentials =
        config.bus.credentials().into_iter().map(|(name, path)| (name, fingerprints.look(path))).collect();
    if list.is_empty() { Ok(Loaded { config, tokens, credentials }) } else { Err(Problems { file: config.file, list }) }
}

/// Without quoting any of it in errors.
fn read_tokens(path: &Path) -> io::Result<Tokens> {
    Tokens::parse(&files::secrets(path)?).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
}

fn about_ingest(name: &str, why: &str) -> Problem {
    Problem::new(None, format!("ingest: {name}: {why}"))
}

/// Hooks under which a bus with queues could take a request in part.
fn problems(config: &Config) -> impl Iterator<Item = Problem> {
    let has_queues = !config.bus.traits().keeps_events;
    let events = config.ingest.max_events.get();
    let bytes = config.ingest.largest_request(&config.events.source);
    let blocking = config.hooks.iter().filter(move |hook| has_queues && hook.hook.queue.overflow == Overflow::Block);
    blocking.flat_map(move |hook| {
        let queue = &hook.hook.queue;
        let whole = "would be accepted in pieces: raise it, or lower";
        let few = (queue.max_events.get() < events)
            .then(|| format!("queue.max_events: a request of ingest.max_events, {events}, {whole} ingest.max_events"));
        let short = (queue.max_bytes.bytes() < bytes).then(|| {
            format!(
                "queue.max_bytes: a request can become {bytes} bytes and {whole} ingest.max_body or ingest.max_events"
            )
        });
        let problem = |why| Problem::new(hook.overflow, format!("hook `{}`: {why}", hook.hook.id));
        few.into_iter().chain(short).map(problem)
    })
}
