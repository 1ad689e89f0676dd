//! npm's `oidc-provider` issues access tokens to hooks, in each way in which a client can prove who it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::bench::{Bench, Integration, write};
use super::server::{Running, Server, event, wait_until};
use crate::packages::{self, Package};
use crate::workspace::Done;

pub(super) const INTEGRATION: Integration = Integration {
    name: "oauth2",
    shows: "oidc-provider (npm) issues access tokens, which are renewed while events are delivered",
    needs: &[Package { program: "node", package: "nodejs" }, Package { program: "npm", package: "npm" }],
    run,
};

const SECRET: &str = "a secret, long enough for HS256: +%&=";

/// The clients of the server, and the settings of each.
const CLIENTS: [(&str, &str); 4] = [
    ("basic", "client_secret = \"SECRET\""),
    ("body", "client_secret = \"SECRET\"\nclient_auth = \"body\""),
    ("secret-jwt", "client_secret = \"SECRET\"\nclient_auth = \"jwt\""),
    ("key-jwt", "private_key_file = \"KEY\"\nkey_id = \"one\"\nclient_auth = \"jwt\""),
];

fn run(bench: &Bench) -> Done {
    let folder = bench.folder.path();
    write(&folder.join("server.mjs"), include_str!("server.mjs"))?;
    packages::npm(folder, &["oidc-provider@8.8.1"])?;
    let mut running = Running::start(Command::new("node").current_dir(folder).args(["server.mjs", "key", "seen"]))?;
    let line = running.wait_for("ports ")?;
    let ports: Vec<&str> = line.split_whitespace().skip(1).collect();
    let [issuer, receiver] = ports[..] else { return Err(format!("no ports in `{line}`")) };
    delivered(bench, &hooks(folder, issuer, receiver, SECRET))?;
    refused(bench, &hooks(folder, issuer, receiver, "a secret that is wrong, and as long as the other"))
}

fn hooks(folder: &Path, issuer: &str, receiver: &str, secret: &str) -> String {
    let key = folder.join("key").display().to_string();
    let hook = |(id, settings): (&str, &str)| {
        let settings = settings.replace("SECRET", secret).replace("KEY", &key);
        format!(
            "[[hooks]]\nid = \"{id}\"\nbatch.max_age = \"0s\"\n[hooks.sink]\nkind = \"http\"\n\
             url = \"http://127.0.0.1:{receiver}/{id}\"\n[hooks.sink.oauth2]\n\
             token_url = \"http://127.0.0.1:{issuer}/token\"\nclient_id = \"{id}\"\nscopes = [\"events\"]\n{settings}\n"
        )
    };
    CLIENTS.into_iter().map(hook).collect()
}

/// Publishes until each client has used a second token: the first one ends after three seconds.
fn delivered(bench: &Bench, hooks: &str) -> Done {
    let server = Server::start(bench, hooks)?;
    let mut published = 0;
    wait_until("a second token for each client", || {
        server.publish(&event(published))?;
        published += 1;
        let seen = seen(bench)?;
        let renewed = seen.values().filter(|(_, tokens)| tokens.len() > 1).count();
        Ok((renewed == CLIENTS.len()).then_some(()))
    })?;
    server.stop()?;
    for (client, (events, tokens)) in seen(bench)? {
        if events.len() != published {
            return Err(format!("{} of {published} events came to {client}", events.len()));
        }
        println!("{client}: {published} events with {} tokens", tokens.len());
    }
    Ok(())
}

type Seen = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

/// The events that came with tokens of each client, and these tokens.
fn seen(bench: &Bench) -> Result<Seen, String> {
    let text = std::fs::read_to_string(bench.path("seen")).unwrap_or_default();
    let mut seen = Seen::new();
    // The last line may not be all there.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let (client, event, token): (String, String, String) =
            serde_json::from_str(line).map_err(|error| format!("`{line}`: {error}"))?;
        let (events, tokens) = seen.entry(client).or_default();
        events.insert(event);
        tokens.insert(token);
    }
    Ok(seen)
}

/// The server refuses a wrong secret: else this would show nothing.
fn refused(bench: &Bench, hooks: &str) -> Done {
    let path = bench.path("wrong.toml");
    write(&path, hooks)?;
    for hook in ["basic", "body", "secret-jwt"] {
        let mut test = Command::new(&bench.hooks);
        test.args(["test", "-c"]).arg(&path).arg(hook);
        let output = test.output().map_err(|error| format!("can't run {test:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(1) || !said.contains("invalid_client") {
            return Err(format!("a wrong secret of `{hook}` was not refused: {said}"));
        }
    }
    Ok(())
}
