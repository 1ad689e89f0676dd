//! The page at `/ui/`: files that a browser reads, and nothing else. What they show comes from the API, with the reader's own
//! token, so whatever can be done there can be scripted.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every file: its name, its media type, and what is in it.
const FILES: [(&str, &str, &str); 13] = [
    ("", HTML, include_str!("index.html")),
    ("style.css", STYLE, include_str!("style.css")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("app.js", SCRIPT, include_str!("app.js")),
    ("api.js", SCRIPT, include_str!("api.js")),
    ("chart.js", SCRIPT, include_str!("chart.js")),
    ("dom.js", SCRIPT, include_str!("dom.js")),
    ("form.js", SCRIPT, include_str!("form.js")),
    ("overview.js", SCRIPT, include_str!("overview.js")),
    ("hooks.js", SCRIPT, include_str!("hooks.js")),
    ("hook.js", SCRIPT, include_str!("hook.js")),
    ("attempts.js", SCRIPT, include_str!("attempts.js")),
    ("events.js", SCRIPT, include_str!("events.js")),
];

/// The page. Pages of the origins that `frame_ancestors` gives may show it in a frame.
pub(crate) fn router(frame_ancestors: impl Fn() -> Vec<String> + Clone + Send + Sync + 'static) -> Router {
    let policy = Arc::new(move || policy(&frame_ancestors()));
    let (first, others) = (policy.clone(), policy);
    Router::new()
        .route("/ui", get(async || (StatusCode::PERMANENT_REDIRECT, [(LOCATION, HeaderValue::from_static("ui/"))])))
        .route("/ui/", get(async move || file("", first())))
        .route("/ui/{file}", get(async move |Path(name): Path<String>| file(&name, others())))
}

fn file(name: &str, policy: HeaderValue) -> Response {
    let Some((_, media_type, text)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return (StatusCode::NOT_FOUND, "there is nothing here: the page is at /ui/\n").into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, *text).into_response()
}

/// Nothing is loaded from elsewhere, no script or style stands in the page, and no text becomes markup.
fn policy(frame_ancestors: &[String]) -> HeaderValue {
    let ancestors = if frame_ancestors.is_empty() { "'none'".to_owned() } else { frame_ancestors.join(" ") };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; require-trusted-types-for 'script'; frame-ancestors {ancestors}"
    );
    // Settings have only origins, which a header can hold.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stays_small_and_loads_nothing_from_elsewhere() {
        let lines: usize = FILES.iter().map(|(.., text)| text.lines().count()).sum();
        assert!(lines < 2_500, "{lines} lines");
        for (name, _, text) in FILES {
            let is_elsewhere = |word: &str| word.contains("://") && !word.contains("www.w3.org");
            let elsewhere: Vec<_> = text.split(['"', '\'', '(', ' ']).filter(|word| is_elsewhere(word)).collect();
            assert!(elsewhere.is_empty(), "{name}: {elsewhere:?}");
        }
    }

    #[test]
    fn frames_are_those_that_are_allowed() {
        let policy = |origins: &[&str]| {
            let origins: Vec<_> = origins.iter().map(|origin| (*origin).to_owned()).collect();
            super::policy(&origins).to_str().unwrap().to_owned()
        };
        assert!(policy(&[]).ends_with("; frame-ancestors 'none'"));
        assert!(policy(&["https://a", "https://*.b"]).ends_with("; frame-ancestors https://a https://*.b"));
        assert!(!policy(&[]).contains("unsafe"));
    }
}
