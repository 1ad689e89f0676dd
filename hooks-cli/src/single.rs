//! One hook without a config file: arguments become the text of one, so that there is one way to read what a hook is.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::args::origin::{HookArgs, OriginArgs};
use crate::config::{Origin, without_steps_up};

/// What is beside the hook.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// The folder of the bus; without one events are kept in memory.
    pub(crate) dir: Option<PathBuf>,
    /// The address that takes events, where it is not the usual one.
    pub(crate) listen: Option<SocketAddr>,
}

/// Where a command has its config from.
///
/// # Errors
/// What is wrong with the arguments.
pub(crate) fn origin(args: &OriginArgs, beside: &Surroundings) -> Result<Origin, String> {
    match (&args.config, &args.hook.to) {
        (Some(file), _) => Ok(Origin::from(file.as_path())),
        (None, Some(to)) => text(&args.hook, to, beside).map(Origin::Arguments),
        (None, None) => Err("neither --config nor --to is set".to_owned()),
    }
}

/// The text of a config file that does the same.
fn text(args: &HookArgs, to: &str, beside: &Surroundings) -> Result<String, String> {
    let mut text = String::new();
    if let Some(dir) = &beside.dir {
        let _ = write!(text, "[bus]\nkind = \"durable\"\ndir  = {}\n\n", quoted(&literal(&absolute("--dir", dir)?)));
    }
    if let Some(address) = beside.listen {
        let _ = write!(text, "[ingest]\nlisten = \"{address}\"\n\n");
    }
    let destination = Destination::parse(to)?;
    let _ = writeln!(text, "[[hooks]]\nid    = \"{}\"", destination.id());
    if !args.types.is_empty() {
        let types: Vec<_> = args.types.iter().map(|glob| quoted(&literal(glob))).collect();
        let _ = writeln!(text, "types = [{}]", types.join(", "));
    }
    match destination {
        Destination::Webhook(url) => {
            let mut options = vec![("kind", quoted("http")), ("url", quoted(&literal(url)))];
            options.extend(args.secret.as_ref().map(|secret| ("secret", quoted(&variable_or_literal(secret)))));
            if let Some(file) = &args.secret_file {
                options.push(("secret_file", quoted(&literal(&absolute("--secret-file", file)?))));
            }
            let width = options.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            text.push_str("[hooks.sink]\n");
            options.iter().for_each(|(name, value)| text.push_str(&format!("{name:width$} = {value}\n")));
        }
        Destination::File(_) if args.secret.is_some() || args.secret_file.is_some() => {
            return Err("--to names a file, and nothing signs what is in a file: leave the secret out".to_owned());
        }
        Destination::File(path) => {
            let path = absolute("--to", path)?;
            if Path::new(&path).is_dir() {
                return Err(format!("--to {path}: this is a folder: name a file in it"));
            }
            if names_a_host(to) && Path::new(&path).parent().is_some_and(|folder| !folder.exists()) {
                return Err(format!(
                    "--to {to}: is it a webhook? Then write https://{to}, else ./{to} for a file that is called so"
                ));
            }
            let _ = writeln!(text, "[hooks.sink]\nkind = \"file\"\npath = {}", quoted(&literal(&path)));
        }
    }
    Ok(text)
}

/// Where events go.
#[derive(Debug, PartialEq, Eq)]
enum Destination<'a> {
    Webhook(&'a str),
    File(&'a Path),
}

impl<'a> Destination<'a> {
    fn parse(to: &'a str) -> Result<Self, String> {
        let wrong = |why: String| Err(format!("--to {to}: {why}"));
        if let Some((scheme, _)) = to.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" => Ok(Self::Webhook(to)),
                "file" => wrong("write the path alone, as in `--to /var/log/events.jsonl`".to_owned()),
                _ => wrong(format!(
                    "`{scheme}` is no scheme that can be delivered to: webhooks begin with http:// or https://, and the \
                     path of a file that is called so with ./"
                )),
            };
        }
        match to {
            "" => return Err("--to is empty: name a webhook or a file".to_owned()),
            "-" => return wrong("events can't go to stdout: name a webhook or a file".to_owned()),
            _ if to.ends_with('/') => return wrong("this is a folder: name a file in it".to_owned()),
            _ => {}
        }
        if names_a_port(to) {
            return wrong(format!("is it a webhook? Then write http://{to}, else ./{to} for a file that is called so"));
        }
        Ok(Self::File(Path::new(to)))
    }

    fn id(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::File(_) => "file",
        }
    }
}

/// True for what begins as `host:port` does, or `http:`.
fn names_a_port(to: &str) -> bool {
    let first = to.split('/').next().unwrap_or(to);
    first.rsplit_once(':').is_some_and(|(host, port)| {
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        !host.is_empty() && is_port || ["http", "https"].contains(&host)
    })
}

/// True for what begins with a name as hosts have them, and goes on with a path: `example.com/hooks`.
fn names_a_host(to: &str) -> bool {
    let Some((host, _)) = to.split_once('/') else { return false };
    let labels: Vec<_> = host.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    labels.len() > 1 && labels.iter().all(is_label)
}

fn absolute(argument: &str, path: &Path) -> Result<String, String> {
    let wrong = |why: &str| format!("{argument} {}: {why}", path.display());
    let whole = std::path::absolute(path).map_err(|error| wrong(&error.to_string()))?;
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(wrong("this path does not end in a name"));
    };
    let found = without_steps_up(folder).join(name);
    found.to_str().map(str::to_owned).ok_or_else(|| wrong("this path is not UTF-8: write a config file"))
}

/// A text in which nothing is a variable.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A whole `${NAME}` stays one.
fn variable_or_literal(text: &str) -> String {
    let is_variable = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
    if is_variable { text.to_owned() } else { literal(text) }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// What the hook is, for people. Of many webhooks the path is the secret, so it is not shown.
pub(crate) fn described(args: &HookArgs, beside: &Surroundings) -> Option<String> {
    let to = args.to.as_deref()?;
    let destination = Destination::parse(to).ok()?;
    let events = if args.types.is_empty() {
        "all events".to_owned()
    } else {
        format!("events of the types {}", args.types.join(", "))
    };
    let place = match &destination {
        Destination::Webhook(url) => {
            let signed = if args.secret.is_some() || args.secret_file.is_some() { "signed" } else { "not signed" };
            format!("{}, {signed}", without_path(url))
        }
        Destination::File(path) => path.display().to_string(),
    };
    let kept = match &beside.dir {
        Some(dir) => format!("kept in the folder {} until they are delivered", dir.display()),
        None => "kept in memory until they are delivered".to_owned(),
    };
    // Arguments may hold what would break the line.
    let told = format!("{events} go to {place}; {kept}").replace(char::is_control, "\u{fffd}");
    Some(format!("one hook, `{}`: {told}; --print-config prints it as a config file", destination.id()))
}

/// Scheme and host, and whether something follows.
fn without_path(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    // What stands in front of the host is a password.
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    let more = if rest[end..].len() > 1 { "/…" } else { "" };
    format!("{scheme}://{host}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_files_are_told_apart() {
        for to in ["http://a", "HTTPS://a/b?c", "http://127.0.0.1:9000/x"] {
            assert_eq!(Destination::parse(to), Ok(Destination::Webhook(to)), "{to}");
        }
        for to in ["events.jsonl", "/var/log/a:b.jsonl", "./localhost:9000", "a:b", "-x", "12:30.jsonl"] {
            assert_eq!(Destination::parse(to), Ok(Destination::File(Path::new(to))), "{to}");
        }
        for (to, why) in [
            ("ftp://a/b", "`ftp` is no scheme that can be delivered to"),
            ("nats://a", "webhooks begin with http://"),
            ("file:///var/log/a", "write the path alone"),
            ("localhost:9000", "http://localhost:9000"),
            ("127.0.0.1:9000/hook", "http://127.0.0.1:9000/hook"),
            ("http:/a", "is it a webhook?"),
            ("out/", "this is a folder"),
            ("-", "stdout"),
            ("", "is empty"),
        ] {
            let said = Destination::parse(to).expect_err(to);
            assert!(said.contains(why), "{to}: {said}");
        }
    }

    #[test]
    fn a_host_with_a_path_is_no_file_without_being_asked() {
        for to in ["example.com/hooks", "10.0.0.1/a/b"] {
            assert!(names_a_host(to), "{to}");
        }
        for to in ["example.com", "./example.com/hooks", "/example.com/hooks", "logs/a.jsonl", ".cache/a", "a..b/c"] {
            assert!(!names_a_host(to), "{to}");
        }
    }

    #[test]
    fn no_path_and_no_password_is_shown() {
        for (url, shown) in [
            ("https://me:pass@a.example/T0/B1?token=x", "https://a.example/…"),
            ("http://a.example:9000/", "http://a.example:9000"),
            ("http://a.example?token=x", "http://a.example/…"),
        ] {
            assert_eq!(without_path(url), shown);
        }
    }

    #[test]
    fn only_a_whole_variable_is_one() {
        for (secret, written) in
            [("${NAME}", "${NAME}"), ("a${NAME}", "a$${NAME}"), ("p$$w", "p$$$$w"), ("${A}${B}", "$${A}$${B}")]
        {
            assert_eq!(variable_or_literal(secret), written);
        }
    }
}
