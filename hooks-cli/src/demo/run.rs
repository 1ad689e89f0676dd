//! The run: starts everything, publishes, watches, and collects what was seen.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::{BoxError, Bus as _, Dispatcher, DropReason, Hook, HookStatus, HumanDuration, RetryPolicy};
use hooks_sink_file::FileConfig;
use hooks_sink_http::HttpConfig;
use hooks_verify::Verifier;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::journal::Journal;
use super::promise::{Facts, HookFacts, Ledger};
use super::receivers::{Checked, Outages};
use super::sample::{POISONED, Sample};
use super::screen::{HookView, View};
use super::stats::ReceiverStats;
use crate::listen::{Server, events};

/// The length of the run: about so many seconds in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunTime(pub(crate) f64);

/// The hooks' names, and what they are about.
const HOOKS: [(&str, &str); 4] = [
    ("steady", "a webhook that is always well"),
    ("flaky", "a webhook that fails twice, and recovers"),
    ("picky", "a webhook that refuses poisoned events"),
    ("file", "a file of JSON lines"),
];

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The publisher stops here until so many outages have begun, so that there is something to receive
/// during each, however slow the machine is.
const GATES: [(usize, usize); 2] = [(120, 1), (270, 2)];

impl RunTime {
    fn part(self, share: f64) -> Duration {
        Duration::from_secs_f64(self.0 * share)
    }
}

/// Runs the demonstration, shows each moment of it, and says what it came to. Files are made in `folder`.
///
/// # Errors
/// When it can't be started, or the bus refuses events.
pub(crate) async fn run(
    run_time: RunTime,
    folder: &Path,
    mut show: impl FnMut(&View),
) -> Result<(Facts, Duration), BoxError> {
    let demo = Demo::start(run_time, folder).await?;
    let mut looks = Looks::default();
    let mut work = Box::pin(async {
        demo.publish().await?;
        demo.dispatcher.shutdown(None).await;
        Ok::<(), BoxError>(())
    });
    // Far longer than it takes. When something never comes, the report says what.
    let mut deadline = Box::pin(tokio::time::sleep(Duration::from_secs(60) + run_time.part(10.0)));
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            ended = &mut work => {
                ended?;
                break;
            }
            () = &mut deadline => break,
            _ = ticks.tick() => show(&demo.look(&mut looks)),
        }
    }
    let took = demo.journal.elapsed();
    show(&demo.look(&mut looks));
    Ok((demo.facts(&looks), took))
}

/// The interval of looks.
const TICK: Duration = Duration::from_millis(50);

/// The sums of all looks.
#[derive(Debug, Default)]
struct Looks {
    count: u64,
    unbalanced: u64,
    peak_events: u64,
    peak_bytes: u64,
}

/// Everything that runs.
struct Demo {
    run_time: RunTime,
    sample: Arc<Sample>,
    journal: Arc<Journal>,
    bus: Arc<MemoryBus>,
    memory: MemoryConfig,
    dispatcher: Dispatcher,
    /// The receivers of the webhooks, in the order of their hooks.
    receivers: Vec<Arc<Checked>>,
    begun: watch::Receiver<usize>,
    published: watch::Sender<usize>,
    file: std::path::PathBuf,
    /// Ends them when it is dropped.
    _servers: JoinSet<()>,
}

impl Demo {
    async fn start(run_time: RunTime, folder: &Path) -> Result<Self, BoxError> {
        let sample = Arc::new(Sample::new()?);
        let journal = Arc::new(Journal::new());
        let (outages_begun, begun) = watch::channel(0);
        let receivers = receivers(&sample, &journal, outages_begun)?;
        let memory = MemoryConfig::default();
        let bus = Arc::new(MemoryBus::new(&memory));
        let dispatcher = Dispatcher::new(bus.clone());
        let mut servers = JoinSet::new();
        for ((name, _), receiver) in HOOKS.iter().zip(&receivers) {
            let server = Server::bind(([127, 0, 0, 1], 0).into(), None, 0)?;
            let sink = HttpConfig::new(format!("http://{}/{name}", server.address()?)).secret(SECRET);
            servers.spawn(server.run(receiver.clone()));
            dispatcher.add(settings(Hook::new(name, sink)?, run_time)).await?;
        }
        let file = folder.join("events.jsonl");
        dispatcher.add(Hook::new(HOOKS[3].0, FileConfig::new(&file))?).await?;
        let published = watch::Sender::new(0);
        Ok(Self {
            run_time,
            sample,
            journal,
            bus,
            memory,
            dispatcher,
            receivers,
            begun,
            published,
            file,
            _servers: servers,
        })
    }

    /// Publishes everything, a few events at a time.
    async fn publish(&self) -> Result<(), BoxError> {
        let slices = &self.sample.slices;
        let mut ticks = tokio::time::interval(self.run_time.part(0.9) / slices.len() as u32);
        let mut begun = self.begun.clone();
        for slice in slices {
            ticks.tick().await;
            let published = *self.published.borrow();
            for (gate, outages) in GATES {
                if published >= gate {
                    begun.wait_for(|begun| *begun >= outages).await?;
                }
            }
            self.bus.publish(slice.clone()).await?;
            self.published.send_modify(|published| *published += slice.len());
        }
        self.journal.say(format!("all {} events are published; what waits is delivered", self.sample.len()));
        Ok(())
    }

    fn look(&self, looks: &mut Looks) -> View {
        let hooks = self.dispatcher.status();
        looks.count += 1;
        looks.unbalanced += u64::from(hooks.iter().any(|hook| !hook.counts.balances()));
        looks.peak_events = hooks.iter().map(|hook| hook.counts.in_flight).fold(looks.peak_events, u64::max);
        looks.peak_bytes = looks.peak_bytes.max(self.bus.memory_used() as u64);
        View {
            elapsed: self.journal.elapsed(),
            published: *self.published.borrow() as u64,
            events: self.sample.len() as u64,
            hooks: self.in_order(&hooks).zip(HOOKS).map(|(hook, (_, about))| view(hook, about)).collect(),
            journal: self.journal.all(),
        }
    }

    /// The hooks' states, in the order that they are shown in.
    fn in_order<'a>(&self, hooks: &'a [HookStatus]) -> impl Iterator<Item = &'a HookStatus> {
        HOOKS.into_iter().filter_map(move |(name, _)| hooks.iter().find(|hook| hook.id.as_str() == name))
    }

    fn facts(&self, looks: &Looks) -> Facts {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let mut stats: Vec<ReceiverStats> = self.receivers.iter().map(|receiver| receiver.stats().clone()).collect();
        stats.push(self.read_back(&text));
        let hooks = self.dispatcher.status();
        let events = self.sample.len() as u64;
        let poisoned = POISONED.len() as u64;
        let hooks = self.in_order(&hooks).zip(stats).map(|(hook, stats)| {
            let due = if hook.id.as_str() == PICKY { events - poisoned } else { events };
            HookFacts { ledger: ledger(hook), due, stats }
        });
        let outage = self.receivers[1].outage();
        Facts {
            published: *self.published.borrow() as u64,
            events,
            hooks: hooks.collect(),
            failing: outage.lasted,
            meanwhile: outage.meanwhile,
            poisoned,
            file_is_same: text == self.sample.text,
            looks: looks.count,
            unbalanced: looks.unbalanced,
            peak_events: looks.peak_events,
            max_events: hooks_core::QueueLimits::default().max_events.get() as u64,
            peak_bytes: looks.peak_bytes,
            max_bytes: self.memory.max_memory.bytes(),
        }
    }

    /// The events that a reader of the file gets.
    fn read_back(&self, text: &str) -> ReceiverStats {
        let mut stats = ReceiverStats::new(self.sample.len());
        for line in text.lines() {
            let place = events(line.as_bytes()).0.first().and_then(|event| self.sample.place(&event.id));
            stats.accept(place);
        }
        stats
    }
}

const PICKY: &str = HOOKS[2].0;

fn receivers(
    sample: &Arc<Sample>,
    journal: &Arc<Journal>,
    begun: watch::Sender<usize>,
) -> Result<Vec<Arc<Checked>>, BoxError> {
    let checked = |at: usize, poisoned: &'static [usize], outages| {
        Ok::<_, BoxError>(Arc::new(Checked::new(
            HOOKS[at].0,
            sample,
            journal,
            Verifier::new([SECRET])?,
            poisoned,
            outages,
        )))
    };
    let steady = checked(0, &[], None)?;
    let picky = checked(2, &POISONED, None)?;
    let outages = Outages { others: vec![steady.clone(), picky.clone()], state: Default::default(), begun };
    let flaky = checked(1, &[], Some(outages))?;
    Ok(vec![steady, flaky, picky])
}

/// As in a config file, but for the times: they are short enough to watch.
fn settings(hook: Hook, run_time: RunTime) -> Hook {
    let max_events = NonZeroUsize::MIN.saturating_add(19);
    let batch = hook.batch.max_events(max_events).max_age(HumanDuration::new(run_time.part(0.015)));
    let (initial, max) = (HumanDuration::new(run_time.part(0.08)), HumanDuration::new(run_time.part(0.1)));
    // Nothing here hangs; a machine that is busy must not make it look so.
    let attempt_timeout = HumanDuration::new(Duration::from_secs(60));
    hook.batch(batch).retry(RetryPolicy::default().initial(initial).max(max).attempt_timeout(attempt_timeout))
}

fn ledger(hook: &HookStatus) -> Ledger {
    let counts = &hook.counts;
    let refused = counts.dropped_for(DropReason::Refused);
    Ledger {
        hook: hook.id.to_string(),
        taken: counts.taken,
        delivered: counts.delivered,
        refused: refused + counts.dead_lettered,
        dropped: counts.dropped() - refused,
        in_flight: counts.in_flight,
    }
}

fn view(hook: &HookStatus, about: &'static str) -> HookView {
    HookView {
        ledger: ledger(hook),
        about,
        state: hook.state.name().replace('_', " "),
        is_well: hook.last_error.is_none(),
    }
}
