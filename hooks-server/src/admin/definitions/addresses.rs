//! Addresses as somebody sees them who may not change their hooks.

use serde_json::Value as Json;
use url::{Position, Url};

/// Hides the paths of all addresses in a sink's settings, and the values in their queries.
pub(super) fn hide_addresses(settings: &mut Json) {
    match settings {
        Json::String(text) => {
            if let Some(shown) = without_secrets(text) {
                *text = shown;
            }
        }
        Json::Array(list) => list.iter_mut().for_each(hide_addresses),
        Json::Object(table) => table.values_mut().for_each(hide_addresses),
        _ => {}
    }
}

/// The address without credentials and path, and with the names of its query's parts alone. `None`: it is no address, as
/// whoever sends to it reads it, or one without any of these.
fn without_secrets(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(Url::has_host)?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let has_path = !matches!(url.path(), "" | "/");
    if !has_credentials && !has_path && url.query().is_none() && url.fragment().is_none() {
        return None;
    }
    let credentials = if has_credentials { "…@" } else { "" };
    let path = if has_path { "/…" } else { url.path() };
    let parts = url.query().into_iter().flat_map(|query| query.split('&')).map(|part| match part.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    });
    let query = if url.query().is_some() { "?" } else { "" };
    let parts = parts.collect::<Vec<_>>().join("&");
    let host = &url[Position::BeforeHost..Position::AfterPort];
    Some(format!("{}://{credentials}{host}{path}{query}{parts}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_and_the_values_of_queries_are_hidden() {
        let mut settings = json!({
            "url": "https://h/in?key=open&sesame&to=a=b?c#d",
            "proxy": ["http://p/", "what?=7", { "a": "https://h?" }],
            "token_url": "https://h:1/services/T0/sesame#d",
            "body": { "template": "see https://h/in" },
        });
        hide_addresses(&mut settings);
        let shown = json!({
            "url": "https://h/…?key=…&…&to=…",
            "proxy": ["http://p/", "what?=7", { "a": "https://h/?…" }],
            "token_url": "https://h:1/…",
            "body": { "template": "see https://h/in" },
        });
        assert_eq!(settings, shown);
    }

    #[test]
    fn an_address_is_read_as_its_sender_reads_it() {
        for (written, shown) in [
            ("http:h/sesame", "http://h/…"),
            ("http:\\\\h\\sesame", "http://h/…"),
            ("HTTPS:///h/sesame", "https://h/…"),
            (" ht\ttp://h:81/sesame", "http://h:81/…"),
            ("http://me:sesame@h", "http://…@h/"),
            ("http://[::1]/sesame", "http://[::1]/…"),
        ] {
            assert_eq!(without_secrets(written).as_deref(), Some(shown), "{written}");
        }
        for no_address in ["http://h", "https://h:1/", "a: b/c", "urn:x/y", "/in", ""] {
            assert_eq!(without_secrets(no_address), None, "{no_address}");
        }
    }
}
