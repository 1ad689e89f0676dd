//! The document of the HTTP API, as tools that no one here wrote understand it: openapi-spec-validator finds nothing wrong
//! with it, schemathesis nothing that the daemon does otherwise, and a client that openapi-python-client makes of it works.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bench::{Bench, Integration, write};
use super::server::{Server, exchange, get};
use crate::packages::{self, Package};
use crate::workspace::Done;

pub(super) const INTEGRATION: Integration = Integration {
    name: "openapi",
    shows: "schemathesis (PyPI) finds nothing in the HTTP API, and a generated client (openapi-python-client, PyPI) works",
    needs: &[Package { program: "python3", package: "python3" }, Package { program: "pip3", package: "python3-pip" }],
    run,
};

/// What is installed from PyPI, in these versions: the same seed then asks the same.
const PACKAGES: [&str; 3] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0", "openapi-python-client==0.29.1"];

/// Random requests for each operation, beside those that go through all cases.
const EXAMPLES: &str = "25";

const TOKEN: &str = "integration-token";

const CONFIG: &str = "
[bus]
kind = 'durable'
dir = '${CONFIG_DIR}/data'
[api]
sink_options.http = { allow_cidrs = ['127.0.0.0/8'], origin = 'hooks.example' }
[[api.tokens]]
name = 'integration'
token = 'integration-token'
may = ['publish', 'read', 'manage']
[[hooks]]
id = 'file'
sink = { kind = 'file', path = '${CONFIG_DIR}/out.jsonl' }
";

fn run(bench: &Bench) -> Done {
    let python = Python(packages::python("openapi-python", &PACKAGES)?);
    let server = Server::start(bench, CONFIG)?;
    let document = bench.path("openapi.json");
    write(&document, &get(server.address, "/openapi.json", &bearer())?)?;
    python.run("openapi-spec-validator", bench.folder.path(), &[&document.display().to_string()])?;
    client(bench, &python, &document, &server)?;
    schemathesis(bench, &python, &server)?;
    server.stop()
}

fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}\r\n")
}

/// An environment of Python with other people's programs, which stays for the next time.
struct Python(PathBuf);

impl Python {
    /// Runs one of its programs, and gives what that says.
    fn run(&self, program: &str, folder: &Path, arguments: &[&str]) -> Result<String, String> {
        // The generator calls a formatter that is installed with it.
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.0.join(program));
        command.current_dir(folder).args(arguments).env("PATH", format!("{}:{path}", self.0.display()));
        let output = command.output().map_err(|error| format!("can't run {command:?}: {error}"))?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("{program}: {}\n{said}", output.status)) }
    }
}

/// A generated client makes a hook, lists, tests and deletes it.
fn client(bench: &Bench, python: &Python, document: &Path, server: &Server) -> Done {
    let folder = bench.folder.path();
    let document = document.display().to_string();
    let generate = ["generate", "--path", &document, "--meta", "none", "--output-path", "hooks_client"];
    python.run("openapi-python-client", folder, &generate)?;
    write(&bench.path("client.py"), include_str!("client.py"))?;
    let address = format!("http://{}", server.address);
    python.run("python3", folder, &["client.py", &address, TOKEN])?;
    println!("a generated client made a hook, listed, tested, changed and deleted it");
    Ok(())
}

/// Requests of all kinds: what is answered is as the document says.
fn schemathesis(bench: &Bench, python: &Python, server: &Server) -> Done {
    write(&bench.path("schemathesis.toml"), include_str!("schemathesis.toml"))?;
    let head = format!("{}content-type: application/json\r\n", bearer());
    for hook in ["kept", "gone"] {
        let definition = r#"{"sink":{"kind":"http","url":"http://127.0.0.1:9/"}}"#;
        let made = exchange(server.address, "PUT", &format!("/v1/hooks/{hook}"), &head, definition)?;
        if !made.contains("\"origin\":\"api\"") {
            return Err(format!("hook `{hook}` was not made: {made}"));
        }
    }
    let document = format!("http://{}/openapi.json", server.address);
    let token = format!("Authorization: Bearer {TOKEN}");
    let said = python.run(
        "schemathesis",
        bench.folder.path(),
        &[
            "run",
            &document,
            "--header",
            &token,
            "--checks",
            "all",
            "--max-examples",
            EXAMPLES,
            "--seed",
            "1",
            "--continue-on-failure",
            "--no-color",
        ],
    )?;
    let cases =
        said.lines().find(|line| line.contains(" generated, ")).ok_or("schemathesis says no number of cases")?;
    let time = said.lines().next_back().unwrap_or_default().trim_matches(['=', ' ']);
    println!("schemathesis: {}; {time}", cases.trim());
    Ok(())
}
