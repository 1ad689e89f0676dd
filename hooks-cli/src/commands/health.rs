//! `hooks health`: whether a daemon takes events.

use std::time::Duration;

use hooks_core::{BoxError, HumanDuration, chain};
use reqwest::{Response, StatusCode, Url};

use super::{print, runtime};
use crate::args::health::HealthArgs;
use crate::config;
use crate::console::complain;
use crate::exit::Exit;
use crate::remote::{builder, can_t_be_reached, why};

/// The longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(5);

/// The most that is read of an answer. A daemon's is a word.
const LONGEST: usize = 64;

pub(crate) fn run(args: &HealthArgs) -> Exit {
    let url = match place(args) {
        Ok(url) => url,
        Err(exit) => return exit,
    };
    let asked = runtime().map_err(BoxError::from).and_then(|runtime| runtime.block_on(ask(&url)));
    match asked {
        Ok(()) => {
            print("ready\n");
            Exit::Done
        }
        Err(error) => {
            complain(chain(&*error));
            Exit::Failed
        }
    }
}

/// The daemon's address, or the exit code, once it is said what is wrong.
fn place(args: &HealthArgs) -> Result<Url, Exit> {
    let address = match (&args.url, &args.config) {
        (Some(url), _) => return Ok(url.clone()),
        (None, Some(file)) => config::listening(file).map_err(|problems| {
            complain(problems);
            Exit::Config
        })?,
        (None, None) => return Err(Exit::Usage),
    };
    Url::parse(&format!("http://{address}")).map_err(|error| {
        complain(format_args!("{address}: {error}"));
        Exit::Config
    })
}

/// Ends well if it is ready.
async fn ask(url: &Url) -> Result<(), BoxError> {
    let mut page = url.clone();
    page.set_path(&format!("{}/readyz", url.path().trim_end_matches('/')));
    let client = builder(url)?.timeout(LIMIT).build()?;
    let answer = client.get(page).send().await.map_err(|error| no_answer(url, error))?;
    let status = answer.status();
    let text = text(answer).await.map_err(|error| no_answer(url, error))?;
    let why = match (status, text.trim_end()) {
        (StatusCode::OK, "ready") => return Ok(()),
        (StatusCode::SERVICE_UNAVAILABLE, "draining") => "it is about to end, and delivers what it has",
        (StatusCode::SERVICE_UNAVAILABLE, "broken") => "its bus is broken: `hooks status` says why",
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable") => "its bus can't be used now: `hooks status` says why",
        (StatusCode::SERVICE_UNAVAILABLE, "full") => "there was no room for events in the last 10 s",
        _ => {
            let place = "is it the address of a `hooks serve`, and of this version?";
            return Err(format!("{url} answers {status} as no daemon does: {place}").into());
        }
    };
    Err(format!("{url} is not ready: {why}").into())
}

fn no_answer(url: &Url, error: reqwest::Error) -> String {
    if error.is_connect() {
        can_t_be_reached(url, error)
    } else if error.is_timeout() {
        format!("{url} does not answer for {}", HumanDuration::new(LIMIT))
    } else {
        format!("{url} gave no whole answer: {}", why(error))
    }
}

/// The answer's text, as far as anybody needs it.
async fn text(mut answer: Response) -> Result<String, reqwest::Error> {
    let mut text = Vec::new();
    while text.len() <= LONGEST
        && let Some(bytes) = answer.chunk().await?
    {
        text.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
