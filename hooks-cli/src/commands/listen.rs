//! `hooks listen`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fastrand::Rng;
use hooks_core::{BoxError, Pattern, chain};
use hooks_verify::{Signed, Verifier, plain_hmac};

use super::runtime;
use crate::args::listen::{Hmac, ListenArgs};
use crate::console::Console;
use crate::exit::Exit;
use crate::files;
use crate::listen::{
    Answer, Arrival, ArrivalStats, Broken, Fault, Grants, Head, Limits, Receiver, Request, Rules, Server, Show,
    Signature, events_of, has_color,
};
use crate::signals::StopSignals;

pub(crate) fn run(args: &ListenArgs, console: &Console) -> Exit {
    let listener = match Listener::new(args) {
        Ok(listener) => Arc::new(listener),
        Err(error) => {
            console.say(error);
            return Exit::Usage;
        }
    };
    let ended = runtime().map_err(BoxError::from).and_then(|runtime| {
        let ended = runtime.block_on(listen(args, listener.clone(), console));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => {
            console.say(listener.state().stats.summary());
            Exit::Done
        }
        Err(error) => {
            console.say(chain(&*error));
            Exit::Failed
        }
    }
}

async fn listen(args: &ListenArgs, listener: Arc<Listener>, console: &Console) -> Result<(), BoxError> {
    let mut stops = StopSignals::new()?;
    let wanted = SocketAddr::new(args.bind, args.port);
    let server = Server::bind(wanted, listener.connection_fault, listener.seed)
        .map_err(|error| format!("can't listen at {wanted}: {error}; another one is chosen with --port and --bind"))?;
    console.say(format_args!("listening at http://{} (any path){}", server.address()?, listener.doing()));
    tokio::select! {
        () = server.run(listener) => {}
        _ = stops.next() => {}
    }
    Ok(())
}

/// Prints what arrives, and answers by the rules.
struct Listener {
    rules: Rules,
    limits: Limits,
    trust: Trust,
    show: Show,
    connection_fault: Option<Fault>,
    seed: u64,
    state: Mutex<State>,
}

struct State {
    stats: ArrivalStats,
    rng: Rng,
}

/// The check of signatures.
struct Trust {
    standard: Option<Verifier>,
    plain: Option<Hmac>,
}

impl Listener {
    fn new(args: &ListenArgs) -> Result<Self, String> {
        let rules = rules(args)?;
        let standard = verifier(args)?;
        let limits = Limits { body: args.max_body.get(), ..Limits::default() };
        let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(Self {
            rules,
            limits,
            trust: Trust { standard, plain: args.hmac.clone() },
            show: Show { is_json: args.json, has_data: args.data, has_color: has_color() },
            connection_fault: args.misbehave.filter(|fault| fault.affects_connections()),
            seed,
            state: Mutex::new(State { stats: ArrivalStats::default(), rng: Rng::with_seed(seed) }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unusual settings of this run, in words.
    fn doing(&self) -> String {
        let Rules { status, failure, fail_rate, .. } = self.rules;
        let fault = self.rules.fault.or(self.connection_fault);
        let doing = match fault {
            Some(fault) if fail_rate > 0.0 && fail_rate < 1.0 => {
                format!(", misbehaving ({}) at {fail_rate} of requests", fault.name())
            }
            Some(fault) => format!(", misbehaving ({})", fault.name()),
            None if fail_rate > 0.0 => format!(", answering {failure} to {fail_rate} of requests"),
            None if status != 200 => format!(", answering {status}"),
            None => String::new(),
        };
        let is_random = (fail_rate > 0.0 && fail_rate < 1.0) || fault == Some(Fault::Garbage);
        if is_random { format!("{doing}; again with --seed {}", self.seed) } else { doing }
    }

    /// Answers a sender who asks whether it may deliver.
    fn grant(&self, request: &Request, origin: &str) -> Answer {
        let (mut answer, words) = self.rules.grant(origin);
        answer.after = self.rules.delay;
        self.state().stats.answered(answer.status);
        let arrival = Arrival::now(&request.head.method, path(&request.head));
        self.print(&Arrival { status: Some(answer.status), bytes: request.sent, grant: Some(words), ..arrival });
        answer
    }

    fn print(&self, arrival: &Arrival<'_>) {
        let mut stdout = std::io::stdout().lock();
        // A reader that has gone, `| head` say, is no reason to stop answering.
        let _ = stdout.write_all(self.show.lines(arrival).as_bytes()).and_then(|()| stdout.flush());
    }
}

/// None when there is no secret to verify with.
fn verifier(args: &ListenArgs) -> Result<Option<Verifier>, String> {
    let mut secrets = args.secret.clone();
    if let Some(file) = &args.secret_file {
        let place = format!("--secret-file {}", file.display());
        let text = files::secrets(file).map_err(|error| format!("{place}: {error}"))?;
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Verifier::new(&lines).map_err(|error| format!("{place}: {error}"))?;
        secrets.extend(lines.into_iter().map(str::to_owned));
    }
    if secrets.is_empty() {
        return Ok(None);
    }
    Verifier::new(&secrets).map(Some).map_err(|error| format!("--secret: {error}"))
}

fn rules(args: &ListenArgs) -> Result<Rules, String> {
    let is_failure = |status: u16| !(200..300).contains(&status);
    let fault = args.misbehave;
    if let (Some(fault), true) = (fault, args.fail_rate.is_some())
        && fault.affects_connections()
    {
        return Err(format!("--misbehave {} happens to every connection: leave out --fail-rate", fault.name()));
    }
    let (status, failure) = match (args.status, args.fail_rate, fault) {
        (status, None, _) | (status, _, Some(_)) => (status.unwrap_or(200), 503),
        (None, Some(_), None) => (200, 503),
        (Some(failure), Some(_), None) if is_failure(failure) => (200, failure),
        (Some(success), Some(_), None) => {
            return Err(format!(
                "--status {success} is no failure: with --fail-rate it is what failing requests are answered"
            ));
        }
    };
    let fault = fault.filter(|fault| !fault.affects_connections());
    let always = if fault.is_some() { 1.0 } else { 0.0 };
    Ok(Rules {
        status,
        failure,
        fail_rate: args.fail_rate.unwrap_or(always),
        retry_after: args.retry_after.map(|span| span.get()),
        delay: args.delay.get(),
        refused: args.reject_type.iter().map(|glob| Pattern::new(glob.as_str())).collect(),
        names_refused: args.item_failures,
        fault,
        grants: match args.allowed_rate {
            _ if args.no_grant => Grants::Nothing,
            Some(number) => Grants::PerMinute(number),
            None => Grants::AnyRate,
        },
    })
}

impl Trust {
    /// The check of a request's signature, and whether that is good enough.
    fn check(&self, request: &Request, now: SystemTime) -> (Signature, bool) {
        let header = |name| request.head.header(name);
        let mut checks = Vec::new();
        if let Some(verifier) = &self.standard {
            let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
            let signed = id.zip(timestamp).zip(signature);
            checks.push(signed.map(|((id, timestamp), signature)| {
                verifier.verify(&Signed { id, timestamp, signature }, &request.body, now).map(drop)
            }));
        }
        if let Some(Hmac { header: name, secret }) = &self.plain {
            checks.push(header(name).map(|signature| plain_hmac(secret, signature, &request.body)));
        }
        if checks.is_empty() {
            let signature = if header("webhook-signature").is_some() { Signature::Unchecked } else { Signature::None };
            return (signature, true);
        }
        for check in checks {
            match check {
                None => return (Signature::None, false),
                Some(Err(error)) => return (Signature::Bad(error.to_string()), false),
                Some(Ok(())) => {}
            }
        }
        (Signature::Good, true)
    }
}

impl Receiver for Listener {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn reads_slowly(&self, head: &Head) -> bool {
        let mut state = self.state();
        let chance = state.rng.f64();
        if !self.rules.reads_slowly(chance) {
            return false;
        }
        state.stats.unanswered += 1;
        self.print(&Arrival { injected: Some(Fault::SlowRead), ..Arrival::now(&head.method, path(head)) });
        true
    }

    fn receive(&self, request: Request) -> Answer {
        if let ("OPTIONS", Some(origin)) = (&*request.head.method, request.head.header("webhook-request-origin")) {
            return self.grant(&request, origin);
        }
        let (signature, is_trusted) = self.trust.check(&request, SystemTime::now());
        let (found, fault) = events_of(&request);
        let mut fault = fault.map(|fault| format!("no CloudEvents: {fault}"));
        let mut state = self.state();
        let mut verdict = self.rules.judge(is_trusted, &found, state.rng.f64());
        if !matches!(&*request.head.method, "POST" | "PUT" | "PATCH") {
            let answer = Answer::text(405, "webhooks are sent with POST, PUT or PATCH");
            verdict.answer = answer.header("allow", "POST, PUT, PATCH");
            (fault, verdict.accepted) = (None, vec![false; found.len()]);
        }
        let path = path(&request.head);
        let accepted = found.iter().zip(&verdict.accepted);
        let marks: Vec<_> = accepted.map(|(event, accepted)| state.stats.event(path, event, *accepted)).collect();
        state.stats.untrusted += u64::from(!is_trusted);
        match verdict.answer.fault {
            None => state.stats.answered(verdict.answer.status),
            Some(_) => state.stats.unanswered += 1,
        }
        // Held until it is printed, so that requests are printed in the order they are counted.
        self.print(&Arrival {
            status: Some(verdict.answer.status),
            injected: verdict.answer.fault,
            batch: request.head.header("webhook-id"),
            bytes: request.sent,
            signature,
            events: &found,
            body: found.is_empty().then(|| std::str::from_utf8(&request.body).ok()).flatten(),
            marks: &marks,
            fault,
            ..Arrival::now(&request.head.method, path)
        });
        verdict.answer
    }

    fn broken(&self, broken: &Broken) {
        if matches!(broken, Broken::Closed) {
            return;
        }
        self.state().stats.unanswered += 1;
        let fault = Some(chain(broken));
        self.print(&Arrival { status: broken.status(), fault, ..Arrival::now("-", "-") });
    }

    fn closed_idle(&self) {
        self.state().stats.unanswered += 1;
        self.print(&Arrival { injected: Some(Fault::CloseIdle), ..Arrival::now("-", "-") });
    }
}

/// Without the query, which may hold a token.
fn path(head: &Head) -> &str {
    head.target.split('?').next().unwrap_or_default()
}
