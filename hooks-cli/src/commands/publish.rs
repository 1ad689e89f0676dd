//! `hooks publish`.

use std::io;
use std::time::Duration;

use hooks_core::{BoxError, chain};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::runtime;
use crate::args::publish::PublishArgs;
use crate::console::Console;
use crate::exit::Exit;
use crate::ndjson::{self, Intake, Malformed, Taken};
use crate::outcome::count;
use crate::publish::{Backoff, Client, Outbox, RateLimiter, Reply, Step};
use crate::remote;
use crate::signals::StopSignals;
use crate::stdin;

/// Most bytes of a request: well below what `hooks serve` takes unless told otherwise (8 MiB).
const MAX_BYTES: usize = 1 << 20;

pub(crate) fn run(args: &PublishArgs, console: &Console) -> Exit {
    let client = match client(args) {
        Ok(client) => client,
        Err(error) => {
            console.say(chain(&*error));
            return Exit::Usage;
        }
    };
    let ended = runtime().map_err(BoxError::from).and_then(|runtime| {
        let ended = runtime.block_on(publish(args, client, console));
        runtime.shutdown_background();
        ended
    });
    ended.unwrap_or_else(|error| {
        console.say(chain(&*error));
        Exit::Failed
    })
}

fn client(args: &PublishArgs) -> Result<Client, BoxError> {
    let token = args.token_file.as_deref().map(remote::authorization).transpose()?;
    Client::new(args.to.clone(), token)
}

async fn publish(args: &PublishArgs, client: Client, console: &Console) -> Result<Exit, BoxError> {
    let mut stops = StopSignals::with_hang_up()?;
    let started = Instant::now();
    let mut run = Run::new(args, client, console, started);
    let mut input = stdin::events(stdin::open()?, Intake::new(args.source.as_str(), args.max_event.get()))?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let timeout = args.timeout.map_or(Duration::MAX, |timeout| timeout.get());
    let is_shown = console.start_progress("accepted");
    let ended = tokio::select! {
        // The request in flight is finished; a second signal does not wait for it.
        name = async {
            let name = stops.next().await;
            stop.send_replace(true);
            stops.next().await;
            name
        } => Err(format!("stopped at once by a second {name}")),
        () = tokio::time::sleep(timeout) => Err(format!("timed out after {timeout:?}")),
        ended = run.send(&mut input, stopped, is_shown) => ended,
    };
    console.end_progress();
    Ok(run.conclude(ended, started.elapsed()))
}

/// Most lines of which is said what is wrong: here, and by the server.
const MOST: usize = 2 * ndjson::SAID;

struct Run<'a> {
    client: Client,
    console: &'a Console,
    outbox: Outbox,
    rate_limiter: Option<RateLimiter>,
    backoff: Backoff,
    lines: u64,
    malformed: u64,
    /// Lines of which was said what is wrong.
    said: usize,
    /// The error of the last request, as long as requests fail.
    failing: Option<String>,
    /// The number of the next events that were sent before, and may have been accepted.
    open: u64,
}

type Input = mpsc::Receiver<io::Result<Taken>>;

impl<'a> Run<'a> {
    fn new(args: &PublishArgs, client: Client, console: &'a Console, now: Instant) -> Self {
        let batch = args.batch.get();
        let max_events = args.rate.map_or(batch, |rate| batch.min(RateLimiter::max_events(rate)));
        Self {
            client,
            console,
            outbox: Outbox::new(max_events, MAX_BYTES),
            rate_limiter: args.rate.map(|rate| RateLimiter::new(rate, now)),
            backoff: Backoff::default(),
            lines: 0,
            malformed: 0,
            said: 0,
            failing: None,
            open: 0,
        }
    }

    /// Sends what is read, as it comes, until the input ends. An error says why not all was sent.
    async fn send(
        &mut self,
        input: &mut Input,
        mut stopped: tokio::sync::watch::Receiver<bool>,
        is_shown: bool,
    ) -> Result<(), String> {
        loop {
            let taken = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Err("stopped by a signal".to_owned()),
                taken = input.recv() => taken,
            };
            let Some(taken) = taken else { return Ok(()) };
            let taken = taken.map_err(|error| format!("stdin can't be read: {error}"))?;
            self.lines = taken.read;
            self.report(&taken.malformed);
            self.malformed += taken.more;
            self.outbox.push(taken.lines.iter().copied().zip(taken.events().cloned()));
            drop(taken);
            while !self.outbox.is_empty() {
                self.step(&mut stopped).await?;
                if is_shown {
                    self.show();
                }
            }
        }
    }

    /// Sends one request, when it is time for it.
    async fn step(&mut self, stopped: &mut tokio::sync::watch::Receiver<bool>) -> Result<(), String> {
        let due = self.rate_limiter.as_ref().map_or_else(Instant::now, RateLimiter::due);
        wait(due, stopped).await?;
        let (events, body) = self.outbox.next();
        // Also when this is given up before there is an answer.
        let before = std::mem::replace(&mut self.open, events as u64);
        let reply = self.client.post(body).await;
        if !matches!(reply, Reply::Later { is_open: true, .. }) {
            self.open = before;
        }
        if let Some(rate_limiter) = &mut self.rate_limiter {
            rate_limiter.sent(Instant::now(), events);
        }
        match self.outbox.answered(events, reply) {
            Step::Next(refused) => {
                self.open = 0;
                self.report(&refused);
                self.backoff.succeeded();
                if self.failing.take().is_some() {
                    self.console.say("the server takes events again");
                }
                Ok(())
            }
            Step::Wait { after, why } => {
                if self.failing.as_ref() != Some(&why) {
                    self.console.say(format_args!("waiting: {why}"));
                    self.failing = Some(why);
                }
                let pause = self.backoff.wait(fastrand::f64(), after);
                wait(Instant::now() + pause, stopped).await
            }
            Step::Stop(why) => {
                self.failing = None;
                Err(why)
            }
        }
    }

    fn report(&mut self, malformed: &[Malformed]) {
        for Malformed { line, reason } in malformed {
            // What is malformed here is bounded already; what the server refuses is not.
            match self.said {
                0..MOST => self.console.say(format_args!("line {line}: {reason}")),
                MOST => self.console.say(format_args!("from line {line} on, what is refused is only counted")),
                _ => {}
            }
            self.said += 1;
        }
        self.malformed += malformed.len() as u64;
    }

    fn show(&self) {
        let (accepted, waiting) = (self.outbox.accepted(), self.outbox.waiting());
        let mut message = format!("{} read", count(self.lines, "line"));
        if let Some(why) = &self.failing {
            message.push_str(&format!(", waiting: {why}"));
        }
        self.console.progress(accepted, accepted + waiting, message);
    }

    /// Says what became of everything.
    fn conclude(&self, ended: Result<(), String>, took: Duration) -> Exit {
        let outbox = &self.outbox;
        let (accepted, malformed) = (outbox.accepted(), self.malformed - outbox.refused());
        let lines = count(self.lines, "line");
        let known = match outbox.duplicates() {
            0 => String::new(),
            known => format!(" ({} not taken again)", count(known, "duplicate")),
        };
        let mut parts = vec![format!("{} accepted{known}", count(accepted, "event")), format!("{malformed} malformed")];
        let open = self.open.min(outbox.waiting());
        let rest = [
            (outbox.refused(), "refused by the server"),
            (open, "perhaps accepted"),
            (outbox.waiting() - open, "not sent"),
        ];
        for (number, what) in rest {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        self.console.say(format_args!("{lines} read: {}, in {:.1}s", parts.join(", "), took.as_secs_f64()));
        if let Err(why) = &ended {
            let why = match &self.failing {
                Some(failing) => format!("{why}, waiting: {failing}"),
                None => why.clone(),
            };
            let was = if open > 0 { "is known to be" } else { "was" };
            let settled = match outbox.settled() {
                0 => format!("nothing {was} accepted"),
                line => format!("line {line} is the last that {was} accepted"),
            };
            self.console.say(format_args!("not everything was sent: {why}; {settled}"));
        }
        if ended.is_ok() && self.malformed == 0 { Exit::Done } else { Exit::Failed }
    }
}

/// Until then, or until it is to stop.
async fn wait(until: Instant, stopped: &mut tokio::sync::watch::Receiver<bool>) -> Result<(), String> {
    tokio::select! {
        biased;
        _ = stopped.wait_for(|stopped| *stopped) => Err("stopped by a signal".to_owned()),
        () = tokio::time::sleep_until(until) => Ok(()),
    }
}
