//! `oauth2`: requests carry an access token that the sink fetches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hooks_core::sink::{DeliveryError, FailureClass, Notes, Shared, SinkConfig};
use hooks_core::{Secret, Sink};
use hooks_sink_http::{AnswerMeaning, Answers, ClientAuth, HttpConfig, HttpSink, OAuth2};
use hooks_test::http::{Receiver, Seen, answer};
use http::{Method, Response};
use serde_json::json;

use crate::{batch, context};

const SECRET: &str = "open-sesame-1";

fn with(url: String, oauth2: OAuth2) -> HttpConfig {
    let mut config = HttpConfig::new(url);
    config.oauth2 = Some(Box::new(oauth2));
    assert_eq!(config.validate(), []);
    config
}

fn config(receiver: &Receiver, server: &Receiver) -> HttpConfig {
    with(receiver.url("/in"), OAuth2::new(server.url("/token"), "me", SECRET))
}

fn build(config: &HttpConfig, shared: &Arc<Shared>) -> HttpSink {
    config.build(&context(shared)).unwrap()
}

/// Issues `token-1`, `token-2` and so on, good for so many seconds.
async fn server(lifetime: u64) -> Receiver {
    let issued = AtomicUsize::new(0);
    Receiver::start(move |_| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        let token =
            json!({ "access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": lifetime });
        answer(200, &token.to_string())
    })
    .await
}

/// Refuses tokens before this one.
async fn choosy(first: usize) -> Receiver {
    Receiver::start(move |seen| {
        let token = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer token-"));
        let is_good = token.and_then(|number| number.parse().ok()).is_some_and(|number: usize| number >= first);
        answer(if is_good { 200 } else { 401 }, "")
    })
    .await
}

fn tokens(receiver: &Receiver) -> Vec<String> {
    receiver.seen().iter().map(|seen| seen.header("authorization").unwrap_or("none").to_owned()).collect()
}

fn form(seen: &Seen) -> Vec<(String, String)> {
    assert_eq!((&seen.method, seen.path()), (&Method::POST, "/token"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    url::form_urlencoded::parse(&seen.body).into_owned().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect()
}

async fn refused(config: &HttpConfig) -> DeliveryError {
    build(config, &Arc::default()).deliver(&batch(&["1"])).await.unwrap_err()
}

#[tokio::test]
async fn one_token_serves_all_with_the_same_settings() {
    let (receiver, server) = (Receiver::ok().await, server(3600).await);
    let (config, shared) = (config(&receiver, &server), Arc::default());
    let mut sinks = [(); 4].map(|()| build(&config, &shared));
    let all = batch(&["1"]);
    let [one, two, three, four] = &mut sinks;
    let (one, two, three, four) =
        tokio::join!(one.deliver(&all), two.deliver(&all), three.deliver(&all), four.deliver(&all));
    assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok());
    drop(sinks);
    build(&config, &shared).deliver(&batch(&["2"])).await.unwrap();
    assert_eq!(tokens(&receiver), ["Bearer token-1"; 5]);
    assert_eq!(server.seen().len(), 1, "fetched once at a time, and kept when no sink is there");

    let mut other = config;
    other.oauth2.as_mut().unwrap().scopes = vec!["write".to_owned()];
    build(&other, &shared).deliver(&batch(&["3"])).await.unwrap();
    assert_eq!(tokens(&receiver)[5], "Bearer token-2", "other settings have another token");
}

#[tokio::test]
async fn a_client_proves_who_it_is_in_each_way() {
    let (receiver, server) = (Receiver::ok().await, server(60).await);
    let ask = async |change: fn(&mut OAuth2)| {
        let mut oauth2 = OAuth2::new(server.url("/token"), "me & you", "p:w d");
        change(&mut oauth2);
        server.forget();
        build(&with(receiver.url("/"), oauth2), &Arc::default()).deliver(&batch(&["1"])).await.unwrap();
        server.only()
    };

    let seen = ask(|_| {}).await;
    // `me+%26+you:p%3Aw+d`
    assert_eq!(seen.header("authorization"), Some("Basic bWUrJTI2K3lvdTpwJTNBdytk"));
    assert_eq!(form(&seen), pairs(&[("grant_type", "client_credentials")]));

    let seen = ask(|oauth2| {
        oauth2.client_auth = ClientAuth::Body;
        oauth2.scopes = vec!["a".to_owned(), "b".to_owned()];
        oauth2.parameters = [("audience".to_owned(), Secret::new("https://api/"))].into();
    })
    .await;
    assert_eq!(seen.header("authorization"), None);
    let expected = [
        ("grant_type", "client_credentials"),
        ("scope", "a b"),
        ("audience", "https://api/"),
        ("client_id", "me & you"),
        ("client_secret", "p:w d"),
    ];
    assert_eq!(form(&seen), pairs(&expected));

    let seen = ask(|oauth2| oauth2.client_auth = ClientAuth::Jwt).await;
    let form = form(&seen);
    assert_eq!(form[2].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!((&*form[3].0, form[3].1.split('.').count()), ("client_assertion", 3));
}

/// One that is refused at once, though it was fetched for this attempt, is not fetched again.
#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let (receiver, server) = (choosy(2).await, server(3600).await);
    let (config, shared) = (config(&receiver, &server), Arc::default());
    let mut sink = build(&config, &shared);
    let error = sink.deliver(&batch(&["1"])).await.unwrap_err();
    assert_eq!((error.class, server.seen().len()), (FailureClass::Endpoint, 1));
    assert!(error.doing.contains("401 Unauthorized"), "{error}");
    sink.deliver(&batch(&["1"])).await.unwrap();
    assert_eq!(tokens(&receiver), ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);

    let never = choosy(usize::MAX).await;
    let mut sink = build(&with(never.url("/"), OAuth2::new(server.url("/token"), "me", SECRET)), &shared);
    let error = sink.deliver(&batch(&["2"])).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Endpoint);
    assert_eq!(tokens(&never), ["Bearer token-2", "Bearer token-3"], "once an attempt");
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_not_used_after_it() {
    let (receiver, server) = (Receiver::ok().await, server(1_000).await);
    let mut sink = build(&config(&receiver, &server), &Arc::default());
    tokio::time::pause();
    for (wait, token) in [(0, 1), (850, 1), (100, 2), (2_000, 3)] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        tokio::time::resume();
        sink.deliver(&batch(&["1"])).await.unwrap();
        tokio::time::pause();
        assert_eq!(tokens(&receiver).last().unwrap(), &format!("Bearer token-{token}"), "after {wait} s");
    }
}

#[tokio::test]
async fn a_token_server_in_trouble_is_an_endpoint_fault() {
    let receiver = Receiver::ok().await;
    for (status, body, why) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"open-sesame-1 is wrong"}"#,
            "401 Unauthorized: invalid_client [secret] is wrong",
        ),
        (429, "", "429 Too Many Requests:"),
        (500, "oops", "500 Internal Server Error: oops"),
        (200, "<html>", "200 OK, but the body is no JSON with an `access_token`"),
    ] {
        let server = Receiver::start(move |_| {
            Response::builder().status(status).header("retry-after", "7").body(body.to_owned()).unwrap()
        })
        .await;
        let mut config = config(&receiver, &server);
        config.oauth2.as_mut().unwrap().client_auth = ClientAuth::Body;
        let error = refused(&config).await;
        assert_eq!((error.class, error.retry_after), (FailureClass::Endpoint, Some(Duration::from_secs(7))));
        let expected = format!("no access token: POST {}: {why}", server.url("/…"));
        assert_eq!(error.doing.trim(), expected);
    }
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(&with(receiver.url("/"), OAuth2::new(format!("http://{gone}/"), "me", SECRET))).await;
    assert_eq!(error.class, FailureClass::Endpoint);
    assert!(error.chain().contains("refused"), "{}", error.chain());
    assert!(receiver.seen().is_empty(), "nothing is sent without a token");
}

#[tokio::test]
async fn no_secret_is_shown_however_a_token_server_echoes_it() {
    let receiver = Receiver::ok().await;
    let echoed = "open & sesame at key-in-path, key\\/in-query";
    let echo = Receiver::start(move |seen| answer(400, &format!("{} {echoed}", seen.text()))).await;
    for client_auth in [ClientAuth::Body, ClientAuth::Basic] {
        let mut oauth2 = OAuth2::new(echo.url("/t/key-in-path?k=key%2Fin-query"), "me", "open & sesame");
        oauth2.client_auth = client_auth;
        oauth2.parameters = [("code".to_owned(), Secret::new("open/code"))].into();
        let error = refused(&with(receiver.url("/"), oauth2)).await.doing;
        let said = error.split_once("Request: ").unwrap().1;
        let own = if client_auth == ClientAuth::Body { "&client_id=me&client_secret=[secret]" } else { "" };
        assert_eq!(said, format!("grant_type=client_credentials&code=[secret]{own} [secret] at [secret], [secret]"));
    }
}

#[tokio::test]
async fn a_token_server_that_hangs_holds_the_hook() {
    let receiver = Receiver::ok().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let oauth2 = OAuth2::new(format!("{origin}/token"), "me", SECRET);
    let mut sink = build(&with(receiver.url("/"), oauth2), &Arc::default());
    let all = batch(&["1"]);
    let accepted = tokio::select! {
        delivered = sink.deliver(&all) => panic!("{delivered:?}"),
        accepted = listener.accept() => accepted.unwrap(),
    };
    let error = sink.cut_short(&all).unwrap().unwrap_err();
    assert_eq!(
        (error.class, error.doing),
        (FailureClass::Endpoint, format!("no access token: POST {origin}/…: no answer came in time"))
    );
    drop(accepted);
}

#[tokio::test]
async fn no_token_is_shown() {
    let server = Receiver::start(|_| answer(200, r#"{"access_token":"token-number-one"}"#)).await;
    let echo = Receiver::start(|seen| answer(403, seen.header("authorization").unwrap())).await;
    let config = config(&echo, &server);
    let error = refused(&config).await;
    assert_eq!(error.answer.unwrap().detail, "Bearer [secret]");
    let (mut context, notes) = (context(&Arc::default()), Notes::default());
    (context.test, context.notes) = (true, Some(notes.clone()));
    config.build(&context).unwrap().deliver(&batch(&["1"])).await.unwrap_err();
    let notes = format!("{:?}", notes.list());
    assert!(notes.contains("a new access token") && !notes.contains("token-number-one"), "{notes}");
    assert!(!format!("{config:?}").contains(SECRET));
}

#[tokio::test]
async fn advice_is_about_the_client_and_its_scopes() {
    let server = server(60).await;
    for (status, part) in [(401, "`oauth2.scopes`, and an audience"), (403, "the rights of `oauth2.client_id`")] {
        let receiver = Receiver::start(move |_| answer(status, "")).await;
        let (mut context, notes) = (context(&Arc::default()), Notes::default());
        (context.test, context.notes) = (true, Some(notes.clone()));
        config(&receiver, &server).build(&context).unwrap().deliver(&batch(&["1"])).await.unwrap_err();
        let (_, advice) = notes.list().into_iter().rfind(|(name, _)| name == "advice").unwrap();
        assert!(advice.contains(part) && !advice.contains("bearer"), "{status}: {advice}");
    }
}

#[tokio::test]
async fn the_guard_applies_to_the_token_server() {
    let (receiver, server) = (Receiver::ok().await, server(1).await);
    let mut config = config(&receiver, &server);
    config.guard = true;
    config.allow_cidrs = vec!["127.0.0.1/32".parse().unwrap()];
    assert_eq!(config.validate(), []);
    config.oauth2 = Some(Box::new(OAuth2::new("http://10.0.0.1/token", "me", SECRET)));
    let paths: Vec<_> = config.validate().into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["oauth2.token_url"]);
    config.oauth2 = Some(Box::new(OAuth2::new(server.url("/token").replace("127.0.0.1", "localhost"), "me", SECRET)));
    config.allow_cidrs = Vec::new();
    config.url = hooks_sink_http::Endpoint::new("http://example.com/");
    let error = refused(&config).await;
    assert_eq!(error.class, FailureClass::Endpoint);
    assert!(error.chain().contains("not allowed"), "{}", error.chain());
    assert!(server.seen().is_empty());
}

#[test]
fn contradictions_are_named() {
    let table = |oauth2: serde_json::Value| {
        let config: HttpConfig = serde_json::from_value(json!({ "url": "http://h/", "oauth2": oauth2 })).unwrap();
        config.validate().into_iter().map(|problem| problem.to_string()).collect::<Vec<_>>()
    };
    let plain = || json!({ "token_url": "https://as/token", "client_id": "me", "client_secret": "s" });
    let having = |name: &str, value: serde_json::Value| {
        let mut table = plain();
        table[name] = value;
        table
    };
    assert_eq!(table(plain()), [""; 0]);
    for (wrong, problem) in [
        (having("token_url", "ftp://as/".into()), "oauth2.token_url: `ftp` is not supported"),
        (having("token_url", "https://me:you@as/".into()), "oauth2.token_url: holds credentials"),
        (having("client_id", "".into()), "oauth2.client_id: it is empty"),
        (having("client_secret", "".into()), "oauth2.client_secret: an empty secret proves nothing"),
        (
            having("client_secret_file", "/run/s".into()),
            "oauth2.client_secret_file: `oauth2.client_secret` is set, too",
        ),
        (having("scopes", json!(["a b"])), "oauth2.scopes: a scope is printable ASCII without spaces"),
        (having("parameters", json!({ "scope": "a" })), "oauth2.parameters.scope: another setting of `oauth2` sets it"),
        (having("key_id", "k".into()), "oauth2.key_id: is of an assertion: set `client_auth = \"jwt\"`"),
        (having("private_key", "k".into()), "oauth2.private_key: is of an assertion"),
        (
            json!({ "token_url": "https://as/", "client_id": "me" }),
            "oauth2.client_secret: it is missing: set it, or `oauth2.client_secret_file`",
        ),
        (
            json!({ "token_url": "https://as/", "client_id": "me", "client_auth": "jwt", "private_key": "k" }),
            "oauth2.private_key: no private key in PEM",
        ),
    ] {
        let problems = table(wrong.clone());
        assert!(problems.len() == 1 && problems[0].starts_with(problem), "{wrong}: {problems:?}");
    }

    let mut config = HttpConfig::new("http://h/").header("authorization", "x");
    config.oauth2 = Some(Box::new(OAuth2::new("https://as/", "me", "s")));
    config.answers = Some(Box::new(Answers::from_iter([(401, AnswerMeaning::Rejected)])));
    let paths: Vec<_> = config.validate().into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["answers", "oauth2"]);
    let warned: Vec<_> = with("http://h/".to_owned(), OAuth2::new("http://as/", "me", "s"))
        .warnings()
        .into_iter()
        .map(|w| w.path)
        .collect();
    assert_eq!(warned, ["url", "oauth2.token_url"]);
}
