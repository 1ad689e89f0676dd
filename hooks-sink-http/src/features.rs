//! Options that need a feature of this crate.

use hooks_core::ConfigProblem;
use url::Url;

use crate::compress::Encoding;
use crate::config::{Compression, HttpConfig, HttpVersion};

/// Says that a feature is needed.
pub(crate) fn needed(feature: &str) -> String {
    format!("this needs the feature `{feature}` of hooks-sink-http, which is not built in")
}

/// The options that need a feature that is off; `url` is where to, if that is known.
pub(crate) fn lacking(config: &HttpConfig, url: Option<&Url>) -> Vec<ConfigProblem> {
    let is_secure = |url: &Url| url.scheme() == "https" && !cfg!(feature = "tls");
    let is_packed = |by| config.compression == by && Encoding::of(name(by)).is_none();
    let proxy = config.proxy.as_ref().and_then(|proxy| proxy.parts().ok());
    let token_url = config.oauth2.as_ref().and_then(|oauth2| oauth2.token_url.parts().ok());
    let lacks = [
        ("oauth2.token_url", token_url.is_some_and(|parts| is_secure(&parts.url)), "tls"),
        ("url", url.is_some_and(is_secure), "tls"),
        ("proxy", proxy.is_some_and(|proxy| is_secure(&proxy.url)), "tls"),
        ("http_version", config.http_version != HttpVersion::Http1 && !cfg!(feature = "http2"), "http2"),
        ("compression", is_packed(Compression::Gzip), "gzip"),
        ("compression", is_packed(Compression::Zstd), "zstd"),
        ("body", config.template().is_some() && !cfg!(feature = "templates"), "templates"),
        ("header_templates", config.header_templates.is_some() && !cfg!(feature = "templates"), "templates"),
    ];
    let lacks = lacks.into_iter().filter(|(_, lacks, _)| *lacks);
    lacks.map(|(option, _, feature)| ConfigProblem::new(option, needed(feature))).collect()
}

/// The name of a compression as a content coding.
pub(crate) fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "identity",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooks_core::sink::{SinkConfig as _, SinkContext};
    use hooks_core::{HookId, Sink as _};
    use serde_json::json;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Whatever is built in: an option works, or says which feature it needs.
    #[tokio::test]
    async fn an_option_without_its_feature_names_it() {
        let cases = [
            (json!({ "url": "http://h/" }), "", "", true),
            (json!({ "url": "https://h/" }), "url", "tls", cfg!(feature = "tls")),
            (json!({ "url": "http://h/", "proxy": "https://p/" }), "proxy", "tls", cfg!(feature = "tls")),
            (json!({ "url": "http://h/", "http_version": "2" }), "http_version", "http2", cfg!(feature = "http2")),
            (json!({ "url": "http://h/", "compression": "gzip" }), "compression", "gzip", cfg!(feature = "gzip")),
            (json!({ "url": "http://h/", "compression": "zstd" }), "compression", "zstd", cfg!(feature = "zstd")),
            (
                json!({ "url": "http://h/", "body": { "template": "1" } }),
                "body",
                "templates",
                cfg!(feature = "templates"),
            ),
            (
                json!({ "url": "http://h/", "header_templates": { "x-a": "1" } }),
                "header_templates",
                "templates",
                cfg!(feature = "templates"),
            ),
        ];
        for (table, option, feature, is_built_in) in cases {
            let config: HttpConfig = serde_json::from_value(table.clone()).unwrap();
            let problems = config.validate();
            let expected = ConfigProblem::new(option, needed(feature));
            assert_eq!(problems, if is_built_in { vec![] } else { vec![expected] }, "{table}");
            let context = SinkContext::new(HookId::new("h").unwrap(), Arc::default());
            // Without a provider of cryptography TLS can't be set up, which is said, too.
            let has_cryptography = feature != "tls" || cfg!(any(feature = "ring", feature = "aws-lc-rs"));
            assert_eq!(config.build(&context).is_ok(), is_built_in && has_cryptography, "{table}");
        }
    }

    #[tokio::test]
    async fn plain_http_needs_no_feature() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = HttpConfig::new(format!("http://{}/", listener.local_addr().unwrap()));
        let context = SinkContext::new(HookId::new("h").unwrap(), Arc::default());
        let mut sink = config.build(&context).unwrap();
        let batch = crate::fuzz::batch(&["1"]);
        let answer = async {
            let mut stream = listener.accept().await.unwrap().0;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let (delivered, _stream) = tokio::join!(sink.deliver(&batch), answer);
        assert!(delivered.unwrap().refused.is_empty());
    }
}
