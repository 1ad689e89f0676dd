//! Addresses as somebody sees them who may not change their hooks.

use serde_json::Value as Json;

/// Hides the values in the queries of all addresses in a sink's settings.
pub(super) fn hide_queries(settings: &mut Json) {
    match settings {
        Json::String(text) => {
            if let Some(shown) = without_query(text) {
                *text = shown;
            }
        }
        Json::Array(list) => list.iter_mut().for_each(hide_queries),
        Json::Object(table) => table.values_mut().for_each(hide_queries),
        _ => {}
    }
}

/// The address with the names of its query's parts alone. `None`: it is no address, or has no query.
fn without_query(text: &str) -> Option<String> {
    let (address, query) = text.split_once('?')?;
    if !address.contains("://") {
        return None;
    }
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    });
    Some(format!("{address}?{}", parts.collect::<Vec<_>>().join("&")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_values_of_queries_are_hidden() {
        let mut settings = json!({
            "url": "https://h/in?key=open&sesame&to=a=b?c#d",
            "proxy": ["http://p/", "what?=7", { "a": "https://h?" }],
            "mode": "batch",
        });
        hide_queries(&mut settings);
        let shown = json!({
            "url": "https://h/in?key=…&…&to=…",
            "proxy": ["http://p/", "what?=7", { "a": "https://h?…" }],
            "mode": "batch",
        });
        assert_eq!(settings, shown);
    }
}
