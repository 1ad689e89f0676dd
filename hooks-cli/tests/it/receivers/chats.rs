//! Slack, Discord and Microsoft Teams.

use hooks_test::http::Seen;
use serde_json::Value as Json;

use super::{Answer, Example, json, length, need, of_type, refuses_others};

const JOB: &str = "com.github.workflow_job.completed";

/// <https://api.slack.com/messaging/webhooks>, <https://api.slack.com/reference/block-kit/blocks>
fn slack(seen: &Seen) -> Answer {
    let message = json(seen, "/services/T", "invalid_payload")?;
    need(message.is_object(), 400, "invalid_payload")?;
    let (text, blocks) = (length(&message["text"]), message["blocks"].as_array());
    need(text.is_some_and(|length| length > 0) || blocks.is_some(), 400, "no_text")?;
    need(text.unwrap_or(0) <= 40_000, 400, "msg_too_long")?;
    for block in blocks.into_iter().flatten() {
        let is_legal = match block["type"].as_str() {
            Some("header") => is_text(&block["text"], &["plain_text"], 150),
            Some("section") => is_text(&block["text"], &["plain_text", "mrkdwn"], 3_000),
            Some("actions") => block["elements"]
                .as_array()
                .is_some_and(|elements| (1..=25).contains(&elements.len()) && elements.iter().all(is_button)),
            _ => false,
        };
        need(is_legal, 400, "invalid_blocks")?;
    }
    need(blocks.is_none_or(|blocks| blocks.len() <= 50), 400, "invalid_blocks")?;
    Ok((200, "ok".to_owned()))
}

fn is_text(text: &Json, kinds: &[&str], longest: usize) -> bool {
    let is_kind = text["type"].as_str().is_some_and(|kind| kinds.contains(&kind));
    is_kind && length(&text["text"]).is_some_and(|length| (1..=longest).contains(&length))
}

fn is_button(element: &Json) -> bool {
    element["type"] == "button"
        && is_text(&element["text"], &["plain_text"], 75)
        && length(&element["url"]).is_none_or(|length| length <= 3_000)
}

/// <https://discord.com/developers/docs/resources/webhook#execute-webhook>
fn discord(seen: &Seen) -> Answer {
    let faulty = r#"{"code":50035,"message":"Invalid Form Body"}"#;
    let message =
        json(seen, "/api/webhooks/", r#"{"code":50109,"message":"The request body contains invalid JSON."}"#)?;
    let (content, embeds) = (length(&message["content"]).unwrap_or(0), message["embeds"].as_array());
    let empty = r#"{"code":50006,"message":"Cannot send an empty message"}"#;
    need(content > 0 || embeds.is_some_and(|embeds| !embeds.is_empty()), 400, empty)?;
    need(content <= 2_000, 400, faulty)?;
    if let Some(name) = message["username"].as_str() {
        let lower = name.to_lowercase();
        let is_legal =
            (1..=80).contains(&name.chars().count()) && !lower.contains("discord") && !lower.contains("clyde");
        need(is_legal, 400, faulty)?;
    }
    need(embeds.is_none_or(|embeds| embeds.len() <= 10), 400, faulty)?;
    for embed in embeds.into_iter().flatten() {
        let short = |name: &str, longest| length(&embed[name]).is_none_or(|length| length <= longest);
        need(short("title", 256) && short("description", 4_096), 400, faulty)?;
        need(embed["url"].is_null() || embed["url"].as_str().is_some_and(|url| url.starts_with("http")), 400, faulty)?;
        need(embed["color"].is_null() || embed["color"].as_u64().is_some_and(|color| color <= 0xff_ffff), 400, faulty)?;
        let time = embed["timestamp"].as_str();
        need(time.is_none_or(|time| time.parse::<jiff::Timestamp>().is_ok()), 400, faulty)?;
    }
    Ok((204, String::new()))
}

/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>, and the schema of
/// adaptive cards.
fn teams(seen: &Seen) -> Answer {
    let message = json(seen, "/workflows/", "InvalidRequestContent")?;
    need(seen.uri.query().is_some_and(|query| query.contains("sig=")), 401, "DirectApiAuthorizationRequired")?;
    need(seen.body.len() <= 28 << 10, 413, "too large")?;
    need(message["type"] == "message", 400, "type")?;
    let attachments = message["attachments"].as_array().filter(|attachments| !attachments.is_empty());
    for attachment in attachments.ok_or((400, "attachments".to_owned()))? {
        let is_card = attachment["contentType"] == "application/vnd.microsoft.card.adaptive";
        let card = &attachment["content"];
        need(is_card && card["type"] == "AdaptiveCard" && card["version"] == "1.4", 400, "card")?;
        need(card["$schema"] == "http://adaptivecards.io/schemas/adaptive-card.json", 400, "schema")?;
        let body = card["body"].as_array().filter(|body| !body.is_empty());
        for element in body.ok_or((400, "body".to_owned()))? {
            let is_fact = |fact: &Json| fact["title"].is_string() && fact["value"].is_string();
            let is_legal = match element["type"].as_str() {
                Some("TextBlock") => element["text"].is_string(),
                Some("FactSet") => element["facts"].as_array().is_some_and(|facts| facts.iter().all(is_fact)),
                _ => false,
            };
            need(is_legal, 400, "element")?;
        }
        for action in card["actions"].as_array().into_iter().flatten() {
            let is_legal =
                action["type"] == "Action.OpenUrl" && action["url"].is_string() && action["title"].is_string();
            need(is_legal, 400, "action")?;
        }
    }
    Ok((202, String::new()))
}

#[test]
fn slack_takes_what_the_example_sends() {
    let seen = Example::new("Slack", slack).delivered();
    let jobs = of_type(JOB);
    assert_eq!(seen.len(), jobs.len());
    for (seen, job) in seen.iter().zip(&jobs) {
        let message: Json = serde_json::from_slice(&seen.body).unwrap();
        let job = &job["data"]["workflow_job"];
        let text = format!("{}: {}", job["name"].as_str().unwrap(), job["conclusion"].as_str().unwrap());
        assert_eq!(message["text"], text);
        assert_eq!(message["blocks"][0]["text"]["text"], job["name"]);
    }
    refuses_others(slack, &seen[0]);
}

/// What an event says is text in Slack, too: it calls nobody, and ends no JSON.
#[test]
fn an_event_can_call_nobody_in_slack() {
    let example = Example::new("Slack", slack);
    let name = r#"<!channel> & "all""#;
    let event = serde_json::json!({ "type": JOB, "subject": "a<b", "data": { "workflow_job": { "name": name, "conclusion": "failure", "html_url": "https://example.com/" } } });
    let ended = crate::command::Place::new(&example.config).pipe(event.to_string());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let message: Json = serde_json::from_slice(&example.receiver.only().body).unwrap();
    assert_eq!(message["text"], r#"&lt;!channel&gt; &amp; "all": failure"#);
    assert_eq!(message["blocks"][0]["text"]["text"], name, "plain text means nothing");
    assert_eq!(message["blocks"][1]["text"]["text"], "*failure* in <https://example.com/|a&lt;b>");
}

#[test]
fn discord_takes_what_the_example_sends() {
    let seen = Example::new("Discord", discord).delivered();
    assert_eq!(seen.len(), of_type(JOB).len());
    let message: Json = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(message["allowed_mentions"]["parse"], serde_json::json!([]));
    assert_eq!(message["embeds"][0]["title"], "linters: failure");
    refuses_others(discord, &seen[0]);
}

#[test]
fn teams_takes_what_the_example_sends() {
    let seen = Example::new("Microsoft Teams", teams).delivered();
    assert_eq!(seen.len(), of_type(JOB).len());
    refuses_others(teams, &seen[0]);
}

/// The newcomer's path, whose commands another test runs.
#[test]
fn slack_takes_what_a_newcomer_sends() {
    let seen = Example::new("Failed jobs in Slack, in ten minutes", slack).delivered();
    assert_eq!(seen.len(), 1, "the one job of that repository that failed");
    assert!(seen[0].text().contains("linters of Codertocat/Hello-World: failure"), "{}", seen[0].text());
}
