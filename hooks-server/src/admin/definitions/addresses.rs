//! Addresses as somebody sees them who may not change their hooks.

use serde_json::Value as Json;

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

/// The address without its path, and with the names of its query's parts alone. `None`: it is no address.
fn without_secrets(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let is_scheme = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
    let host = match address.split_once('/') {
        // A text with an address in it is shown.
        Some((host, path)) if !path.is_empty() && scheme.trim_start().chars().all(is_scheme) => format!("{host}/…"),
        _ => address.to_owned(),
    };
    let parts = query.into_iter().flat_map(|query| query.split('&')).map(|part| match part.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    });
    let query = if query.is_some() { "?" } else { "" };
    Some(format!("{scheme}://{host}{query}{}", parts.collect::<Vec<_>>().join("&")))
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
            "proxy": ["http://p/", "what?=7", { "a": "https://h?…" }],
            "token_url": "https://h:1/…",
            "body": { "template": "see https://h/in" },
        });
        assert_eq!(settings, shown);
    }
}
