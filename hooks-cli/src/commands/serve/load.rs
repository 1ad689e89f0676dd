//! From the config file to what `serve` needs.

use std::path::Path;

use hooks_core::{Overflow, Secret};
use hooks_server::{Access, Keys, Right, Tokens};

use crate::config::{self, Config, Origin, Problem, Problems, WithoutBus};
use crate::files::{self, Fingerprint, Fingerprints};

/// A config that can be served, and what its files hold.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) tokens: Option<Tokens>,
    /// Those of `api.secrets_key_file`.
    pub(super) keys: Option<Keys>,
    /// The bus's credentials as they were when they were read, by the setting that names their file.
    pub(super) credentials: Vec<(&'static str, Fingerprint)>,
}

/// Reads the config, and the files of tokens and keys.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn load(origin: &Origin) -> Result<Loaded, Problems> {
    let config = config::load(origin, WithoutBus::OnDisk)?;
    let mut list: Vec<Problem> = problems(&config).collect();
    list.extend(config::too_large_for(&config.ingest, &config.bus).map(|why| about_ingest("max_body", &why)));
    let tokens = tokens(&config, &mut list);
    let keys = config.api.secrets_key_file.as_deref().and_then(|path| {
        let keys = files::secrets(path).map_err(|error| error.to_string()).and_then(|text| Keys::parse(&text));
        let wrong = |why: &String| list.push(about("api: secrets_key_file", path, why));
        keys.inspect_err(wrong).ok()
    });
    let mut fingerprints = Fingerprints::default();
    let credentials =
        config.bus.credentials().into_iter().map(|(name, path)| (name, fingerprints.look(path))).collect();
    if list.is_empty() {
        Ok(Loaded { config, tokens, keys, credentials })
    } else {
        Err(Problems { file: config.file, list })
    }
}

/// The tokens of both sections. What is wrong goes into the list, without quoting any.
fn tokens(config: &Config, list: &mut Vec<Problem>) -> Option<Tokens> {
    let of_file = config.ingest.token_file.iter();
    let publishers = of_file.map(|path| {
        let access = Access::new([Right::Publish], None);
        ("ingest: token_file".to_owned(), Source::File(path), access)
    });
    let named = config.api.tokens.iter().enumerate().filter_map(|(index, token)| {
        let (field, source) = match (&token.token, &token.token_file) {
            (_, Some(path)) => ("token_file", Source::File(path)),
            (Some(token), None) => ("token", Source::Text(token)),
            (None, None) => return None,
        };
        Some((format!("api: tokens[{index}].{field}"), source, token.access()))
    });
    let mut tokens = None;
    for (place, source, access) in publishers.chain(named) {
        if let Err(problem) = add(&mut tokens, &place, &source, &access) {
            list.push(problem);
        }
    }
    tokens
}

/// Where a token is.
enum Source<'a> {
    File(&'a Path),
    Text(&'a Secret),
}

fn add(tokens: &mut Option<Tokens>, place: &str, source: &Source<'_>, access: &Access) -> Result<(), Problem> {
    let wrong = |why: String| match source {
        Source::File(path) => about(place, path, &why),
        Source::Text(_) => Problem::new(None, format!("{place}: {why}")),
    };
    let all = match tokens {
        Some(tokens) => tokens,
        none => none.insert(Tokens::none().map_err(wrong)?),
    };
    match source {
        Source::File(path) => {
            let text = files::secrets(path).map_err(|error| wrong(error.to_string()))?;
            all.add(&text, access).map_err(wrong)
        }
        Source::Text(token) => all.add(token.expose(), access).map_err(wrong),
    }
}

fn about(place: &str, path: &Path, why: &str) -> Problem {
    Problem::new(None, format!("{place}: {}: {why}", path.display()))
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
