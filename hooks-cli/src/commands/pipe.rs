//! `hooks pipe`.

mod gathered;
mod publishing;

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{Fuse, FusedFuture as _};
use hooks_core::{BoxError, Bus, DisabledBy, Dispatcher, Hook, HookStatus, Overflow, Slice, chain};
use hooks_server::history::History;
use hooks_server::metrics::Metrics;
use hooks_server::on_own_thread;
use hooks_server::otlp::Telemetry;
use tokio::sync::{mpsc, watch};

use super::{print_config, runtime};
use crate::args::PipeArgs;
use crate::bus;
use crate::config::{self, Config, EventSettings, Origin, Problem, Problems, WithoutBus};
use crate::console::Console;
use crate::exit::Exit;
use crate::ndjson::{Intake, Taken};
use crate::outcome::{InputStats, count, elsewhere, shortfalls, table, waited_for};
use crate::signals::{OtherSignals, StopSignals};
use crate::single::{self, Surroundings};
use crate::stdin;
use crate::telemetry;
use gathered::Gathered;

pub(crate) fn run(args: &PipeArgs, console: &Console) -> Exit {
    let origin = match single::origin(&args.origin, &Surroundings::default()) {
        Ok(origin) => origin,
        Err(why) => {
            console.say(why);
            return Exit::Usage;
        }
    };
    if args.origin.hook.print_config {
        return print_config(&origin, load(&origin));
    }
    let ended = runtime().map_err(BoxError::from).and_then(|runtime| {
        let ended = runtime.block_on(start(args, origin, console));
        // Whatever still runs has been counted as left behind.
        runtime.shutdown_background();
        ended
    });
    ended.unwrap_or_else(|error| {
        console.say(chain(&*error));
        Exit::Failed
    })
}

/// A config that can be piped through.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn load(origin: &Origin) -> Result<Config, Problems> {
    config::load(origin, WithoutBus::InProcess).and_then(ready)
}

/// Adapts a config to a pipe: nothing is dropped for lack of room.
fn ready(mut config: Config) -> Result<Config, Problems> {
    let mut list = Vec::new();
    for hook in &mut config.hooks {
        match hook.overflow {
            None => hook.hook.queue.overflow = Overflow::Block,
            Some(place) if hook.hook.queue.overflow == Overflow::DropOldest => list.push(Problem::new(
                Some(place),
                format!(
                    "hook `{}`: queue.overflow: `hooks pipe` drops nothing: leave this out, or set it to \"block\"",
                    hook.hook.id
                ),
            )),
            Some(_) => {}
        }
    }
    if config.hooks.iter().all(|hook| !hook.hook.enabled) {
        list.push(Problem::new(None, "every hook is disabled, so nothing would be delivered"));
    }
    if list.is_empty() { Ok(config) } else { Err(Problems { file: config.file, list }) }
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything that was read is settled, or can't be.
    Drained,
    TimedOut(Duration),
    /// A second signal came.
    Interrupted,
}

/// The reason why reading ends before the input does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    Signal(&'static str),
    Disabled(String),
}

async fn start(args: &PipeArgs, origin: Origin, console: &Console) -> Result<Exit, BoxError> {
    // Before anything that takes a while: until then they end the process.
    let mut signals = Signals { stops: StopSignals::with_hang_up()?, others: OtherSignals::new()? };
    let started = Instant::now();
    let prepared = tokio::select! {
        biased;
        name = signals.stop(console) => {
            console.say(format_args!("stopped by {name} before anything was read"));
            return Ok(Exit::Done);
        }
        prepared = prepare(origin.clone(), console) => prepared?,
    };
    match prepared {
        Ok(prepared) => {
            if let Some(text) = single::described(&args.origin.hook, &Surroundings::default()) {
                console.say(text);
            }
            pipe(prepared, signals, args.timeout.map(|timeout| timeout.get()), started, console).await
        }
        Err(problems) => {
            console.say(problems);
            Ok(origin.fault())
        }
    }
}

/// The bus and the dispatcher that events go to, and the settings for reading them.
struct Prepared {
    bus: Arc<dyn Bus>,
    /// True if the bus outlives this process.
    keeps: bool,
    dispatcher: Arc<Dispatcher>,
    /// Where attempts are recorded, if they are.
    history: Option<History>,
    telemetry: Option<Telemetry>,
    events: EventSettings,
}

/// Everything up to reading. What is wrong with the config comes as the inner error.
async fn prepare(origin: Origin, console: &Console) -> Result<Result<Prepared, Problems>, BoxError> {
    let load = move || load(&origin).map(|config| (config.file_problems(), config));
    let (unusable, config) = match on_own_thread("config", load).await? {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(Err(problems)),
    };
    config.warnings().chain(unusable).for_each(|text| console.say(text));
    let bus = bus::open(&config.bus).await?.bus;
    let keeps = bus.traits().outlives_process;
    let dispatcher = Dispatcher::new(bus.clone()).with_an_end();
    let mut history = None;
    if config.history.is_set {
        history = bus::open_history(&config.history, &config.bus, bus.log_id()).await?;
    }
    let telemetry = telemetry::of(config.telemetry.as_ref());
    let dispatcher = Arc::new(telemetry::recorded(dispatcher, history.as_ref(), telemetry.as_ref()));
    if let Some(telemetry) = &telemetry {
        let metrics = Metrics::new(bus.clone(), dispatcher.clone()).with_telemetry(telemetry.clone());
        telemetry::export(telemetry, Arc::new(metrics))?;
    }
    subscribe(&dispatcher, config.hooks.into_iter().map(|hook| hook.hook), console).await?;
    bus.all_subscribed();
    Ok(Ok(Prepared { bus, keeps, dispatcher, history, telemetry, events: config.events }))
}

async fn pipe(
    Prepared { bus, keeps, dispatcher, history, telemetry, events }: Prepared,
    mut signals: Signals,
    timeout: Option<Duration>,
    started: Instant,
    console: &Console,
) -> Result<Exit, BoxError> {
    let (stop, stopped) = watch::channel(None);
    let run = Run { bus, keeps, dispatcher, console, stats: Mutex::default(), unaccepted: Mutex::default() };
    let input = stdin::events(stdin::open()?, Intake::new(events.source, events.max_bytes.get()))?;
    let mut failed = None;
    let work = async {
        failed = run.feed(input, stopped).await.err();
        run.dispatcher.shutdown(None).await;
    };
    let end = tokio::select! {
        biased;
        () = signals.watch(&stop, console) => End::Interrupted,
        timeout = expired(timeout) => End::TimedOut(timeout),
        () = run.watch_hooks(&stop) => End::Drained,
        () = run.show() => End::Drained,
        () = work => End::Drained,
    };
    if let Some(history) = &history {
        history.flush().await;
    }
    telemetry::end(telemetry.as_ref()).await;
    console.end_progress();
    Ok(run.conclude(end, stop.borrow().clone(), failed, started.elapsed()))
}

async fn subscribe(
    dispatcher: &Dispatcher,
    hooks: impl Iterator<Item = Hook>,
    console: &Console,
) -> Result<(), BoxError> {
    for hook in hooks {
        if hook.enabled {
            dispatcher.add(hook).await?;
        } else {
            console.say(format!("hook `{}` is disabled and receives nothing", hook.id));
        }
    }
    Ok(())
}

async fn expired(timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            tokio::time::sleep(timeout).await;
            timeout
        }
        None => pending().await,
    }
}

struct Run<'a> {
    bus: Arc<dyn Bus>,
    keeps: bool,
    dispatcher: Arc<Dispatcher>,
    console: &'a Console,
    stats: Mutex<InputStats>,
    /// The lines of the events that were read and that the bus has not accepted, in order.
    unaccepted: Mutex<VecDeque<u64>>,
}

/// The interval at which progress is shown.
const TICK: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// Publishes what is read, as it comes, until the input ends or reading is stopped. What is read
    /// while the bus is busy goes together, so that a log syncs more of it at once.
    async fn feed(
        &self,
        mut input: mpsc::Receiver<io::Result<Taken>>,
        mut stopped: watch::Receiver<Option<Stop>>,
    ) -> Result<(), BoxError> {
        let (mut reading, mut stopping) = (true, false);
        let mut failed = Ok(());
        let mut gathered = Gathered::default();
        let mut read = Vec::with_capacity(stdin::AHEAD);
        let mut publishing = pin!(Fuse::terminated());
        loop {
            if publishing.is_terminated() {
                if let Some(slice) = gathered.next()? {
                    publishing.set(self.publish(slice).fuse());
                } else if !reading {
                    return failed;
                }
            }
            tokio::select! {
                biased;
                _ = stopped.wait_for(Option::is_some), if !stopping => {
                    // What was read is delivered; the rest stays where it is.
                    stopping = true;
                    input.close();
                }
                published = &mut publishing, if !publishing.is_terminated() => published?,
                parts = input.recv_many(&mut read, stdin::AHEAD), if reading && gathered.has_room() => {
                    reading = parts > 0;
                    for taken in read.drain(..) {
                        match taken {
                            Ok(taken) => gathered.add(self.look(taken)),
                            // It is the last; what came before it is delivered.
                            Err(error) => failed = Err(format!("stdin can't be read: {error}").into()),
                        }
                    }
                }
            }
        }
    }

    /// Says what is wrong with what was read; the events are left.
    fn look(&self, taken: Taken) -> Vec<Slice> {
        for malformed in &taken.malformed {
            self.console.say(format_args!("line {}: {}", malformed.line, malformed.reason));
        }
        self.stats(|stats| {
            stats.lines = taken.read;
            stats.malformed += taken.malformed.len() as u64 + taken.more;
            stats.waiting += taken.lines.len() as u64;
        });
        self.lines().extend(taken.lines);
        taken.slices
    }

    fn stats<T>(&self, with: impl FnOnce(&mut InputStats) -> T) -> T {
        with(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops reading when a receiver wants nothing any more. Never returns.
    async fn watch_hooks(&self, stop: &watch::Sender<Option<Stop>>) {
        let mut changes = self.dispatcher.changes();
        while let Some(hook) = changes.next().await {
            if [DisabledBy::Receiver, DisabledBy::Failures].into_iter().any(|by| hook.is_disabled_by(by)) {
                stop.send_if_modified(|stop| {
                    let first = stop.is_none();
                    stop.get_or_insert_with(|| Stop::Disabled(hook.id.to_string()));
                    first
                });
            }
        }
        pending().await
    }

    /// Shows progress on a terminal. Never returns.
    async fn show(&self) {
        if !self.console.start_progress("delivered") {
            return pending().await;
        }
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            let hooks = self.dispatcher.status();
            let sum = |count: fn(&HookStatus) -> u64| hooks.iter().map(count).sum();
            let stats = self.stats(|stats| *stats);
            let failing = hooks.iter().filter(|hook| hook.last_error.is_some()).count() as u64;
            let mut message = format!("{} read", count(stats.lines, "line"));
            for (number, what) in [(stats.malformed, "malformed line"), (failing, "failing hook")] {
                if number > 0 {
                    message.push_str(&format!(", {}", count(number, what)));
                }
            }
            self.console.progress(
                sum(|hook| hook.counts.delivered),
                sum(|hook| hook.counts.taken - hook.counts.handed_over),
                message,
            );
        }
    }

    /// Says what became of everything.
    fn conclude(&self, end: End, stop: Option<Stop>, failed: Option<BoxError>, took: Duration) -> Exit {
        let hooks = self.dispatcher.status();
        let stats = self.stats(|stats| *stats);
        let say = |text: String| self.console.say(text);
        match &stop {
            Some(Stop::Signal(name)) => say(format!("stopped by {name} after line {}", stats.lines)),
            Some(Stop::Disabled(hook)) => {
                say(format!("stopped after line {}: hook `{hook}` was disabled by its receiver", stats.lines));
            }
            None => {}
        }
        let mut missing = Vec::new();
        let from = self.lines().front().copied();
        match end {
            End::Drained => {}
            End::Interrupted => missing.push("stopped at once by a second signal".to_owned()),
            End::TimedOut(timeout) => missing.push(format!("timed out after {timeout:?}{}", waited_for(&hooks, from))),
        }
        missing.extend(failed.map(|error| chain(&*error)));
        missing.extend(shortfalls(&stats, from, self.keeps, &hooks));
        say(table(&hooks).trim_end().to_owned());
        elsewhere(&hooks, self.bus.traits()).into_iter().for_each(say);
        say(format!("{}, in {:.1}s", stats.summary(), took.as_secs_f64()));
        for line in &missing {
            say(format!("not everything was delivered: {line}"));
        }
        if missing.is_empty() { Exit::Done } else { Exit::Failed }
    }
}

struct Signals {
    stops: StopSignals,
    others: OtherSignals,
}

impl Signals {
    /// Waits for one that ends the pipe.
    async fn stop(&mut self, console: &Console) -> &'static str {
        loop {
            tokio::select! {
                name = self.stops.next() => return name,
                name = self.others.next() => console.say(format_args!("{name} means nothing here")),
            }
        }
    }

    /// The first ends reading; returns at the second.
    async fn watch(&mut self, stop: &watch::Sender<Option<Stop>>, console: &Console) {
        let name = self.stop(console).await;
        console.say(format_args!("{name}: reading no more, delivering what was read; once more to stop at once"));
        stop.send_replace(Some(Stop::Signal(name)));
        self.stop(console).await;
    }
}
