//! A destination in memory with a sink that can be wrong in many ways.

use std::sync::Arc;

use hooks_core::conformance::Destination;
use hooks_core::{
    BoxError, Secret, Sink, async_trait,
    sink::{Batch, Delivered, DeliveryError, FailureClass, Reason, SinkContext, SinkFactory},
};
use parking_lot::Mutex;

/// The fault of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Says `Ok` when the events are only queued; they leave with the next call.
    Queues,
    /// A task delivers the events later.
    Spawns,
    /// Delivers a batch from the back.
    Reverses,
    /// Leaves out the last event of a batch.
    DropsLast,
    /// Delivers a batch twice.
    Repeats,
    /// Parses and prints the events.
    Rebuilds,
    /// Takes white space out of the data.
    Squeezes,
    /// Passes on what was published instead of what the hook's metadata makes of it.
    IgnoresMetadata,
    /// Cuts long events.
    Truncates,
    /// Refuses events above 64 KiB with an error, which is its right.
    SmallOnly,
    /// Takes the first 1,000 events of a batch and says nothing about the others.
    TakesThousand,
    /// Says that refused events arrived.
    HidesRefused,
    /// Counts refused events from 1.
    MiscountsRefused,
    /// Names each refused event twice.
    NamesTwice,
    /// Gives no reason for a refused event.
    NoReason,
    /// Holds the whole batch back for one refused event, as if it would help to wait.
    RetriesRefused,
    /// Rejects the whole batch for one refused event, which is its right.
    RejectsWhole,
    /// Says `Ok` whatever the destination says.
    HidesFailures,
    /// Calls every failure `Retry`.
    OneClass,
    /// Is of no use any more after a failure.
    Breaks,
    /// Gives errors without text.
    Mute,
    /// Takes a batch for delivered as soon as it has begun.
    TrustsItsBeginning,
    /// Goes on in the middle of a line when a delivery was cut off.
    Tears,
    /// Holds a lock that a dropped future never gives back.
    Hangs,
    /// Thinks that a batch that was cut off is still on its way, and delivers it behind the next one.
    DeliversLate,
    /// Has nothing to flush and takes that for an error.
    FlushFails,
    /// Delivers the last batch again when it is closed.
    CloseRepeats,
    /// Only one can be built.
    Exclusive,
    /// Closing one closes all.
    ClosesAll,
    /// Does not send test events.
    FakesTests,
    /// Prints its secret.
    ShowsSecret,
    /// Tells its secret in errors.
    SecretInError,
    /// Panics.
    Panics,
}

const SECRET: &str = "open sesame";

/// A destination in memory, and the settings of a sink for it.
#[derive(Clone)]
pub(super) struct Memory {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Written so far; what stands behind the last line end is a line that is not complete.
    text: String,
    refused: Vec<String>,
    failure: Option<FailureClass>,
    built: usize,
    closed: bool,
    locked: bool,
}

impl Memory {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, state: Arc::default() }
    }

    /// Writes a line, in two halves with a wait in between.
    async fn write(&self, line: &str) {
        let (left, right) = line.split_at(line.floor_char_boundary(line.len() / 2));
        if self.fault == Fault::Tears {
            self.state.lock().text.push_str(left);
            tokio::task::yield_now().await;
            self.state.lock().text.extend([right, "\n"]);
        } else {
            tokio::task::yield_now().await;
            self.state.lock().text.extend([line, "\n"]);
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut memory = f.debug_struct("Memory");
        if self.fault == Fault::ShowsSecret {
            return memory.field("secret", &SECRET).finish();
        }
        memory.field("secret", &Secret::new(SECRET)).finish()
    }
}

impl SinkFactory for Memory {
    fn kind(&self) -> &str {
        "memory"
    }

    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        let mut state = self.state.lock();
        state.built += 1;
        if self.fault == Fault::Exclusive && context.lane > 0 {
            return Err("the destination is in use".into());
        }
        let sink = MemorySink {
            memory: self.clone(),
            test: context.test,
            queued: Vec::new(),
            begun: Vec::new(),
            useless: false,
            delivered: false,
        };
        Ok(Box::new(sink))
    }
}

#[async_trait]
impl Destination for Memory {
    fn factory(&self) -> Arc<dyn SinkFactory> {
        Arc::new(self.clone())
    }

    async fn received(&self) -> Vec<String> {
        let text = self.state.lock().text.clone();
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    async fn refuse(&self, id: &str) -> bool {
        self.state.lock().refused.push(id.to_owned());
        true
    }

    async fn fail(&self, class: FailureClass) -> bool {
        self.state.lock().failure = Some(class);
        true
    }

    async fn heal(&self) {
        self.state.lock().failure = None;
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

struct MemorySink {
    memory: Memory,
    test: bool,
    queued: Vec<String>,
    begun: Vec<String>,
    useless: bool,
    delivered: bool,
}

impl MemorySink {
    fn is(&self, fault: Fault) -> bool {
        self.memory.fault == fault
    }

    /// The destination's answer to a batch before it takes any of it.
    fn knock(&mut self) -> Result<(), DeliveryError> {
        let state = self.memory.state.lock();
        if self.useless || (state.closed && self.memory.fault == Fault::ClosesAll) {
            return Err(DeliveryError::endpoint("write to memory: closed"));
        }
        let Some(class) = state.failure else { return Ok(()) };
        match self.memory.fault {
            Fault::HidesFailures => Ok(()),
            Fault::OneClass => Err(DeliveryError::retry("write to memory").because("switched off")),
            Fault::Mute => Err(DeliveryError::new(class, "")),
            Fault::SecretInError => Err(DeliveryError::new(class, format!("log in as {SECRET}"))),
            fault => {
                self.useless = fault == Fault::Breaks;
                Err(DeliveryError::new(class, "write to memory").because("switched off"))
            }
        }
    }

    fn lines(&self, batch: &Batch) -> Vec<String> {
        let mut lines: Vec<String> = match self.memory.fault {
            Fault::IgnoresMetadata => batch.events().map(|event| event.json().to_owned()).collect(),
            Fault::Squeezes => batch.lines().map(|line| squeezed(&line)).collect(),
            Fault::Rebuilds => batch.lines().map(|line| rebuilt(&line)).collect(),
            _ => batch.lines().map(|line| line.into_owned()).collect(),
        };
        match self.memory.fault {
            Fault::Reverses => lines.reverse(),
            Fault::DropsLast => lines.truncate(lines.len() - 1),
            Fault::TakesThousand => lines.truncate(1_000),
            Fault::Repeats => lines.extend(lines.clone()),
            Fault::Truncates => lines.iter_mut().for_each(|line| line.truncate(65_536)),
            _ => {}
        }
        lines
    }

    /// The refused events of a batch by index, as this sink names them.
    fn refused(&self, batch: &Batch) -> Result<Vec<usize>, DeliveryError> {
        let state = self.memory.state.lock();
        let is_refused = |id: &str| state.refused.iter().any(|refused| refused == id);
        let refused: Vec<usize> =
            batch.events().enumerate().filter(|(_, event)| is_refused(event.id())).map(|(index, _)| index).collect();
        let none_is_too_long = batch.events().all(|event| event.len() <= 64 << 10);
        match self.memory.fault {
            Fault::RetriesRefused if !refused.is_empty() => {
                Err(DeliveryError::retry("write to memory: an event is refused"))
            }
            Fault::RejectsWhole if !refused.is_empty() => Err(DeliveryError::rejected("write to memory: 422")),
            Fault::SmallOnly if !none_is_too_long => {
                Err(DeliveryError::new(FailureClass::TooLarge, "write to memory: 413"))
            }
            _ => Ok(refused),
        }
    }

    /// Its result for the refused events.
    fn named(&self, refused: &[usize]) -> Vec<(usize, Reason)> {
        let wrong = usize::from(self.is(Fault::MiscountsRefused));
        let reason = if self.is(Fault::NoReason) { "" } else { "not wanted" };
        let times = match self.memory.fault {
            Fault::HidesRefused => 0,
            Fault::NamesTwice => 2,
            _ => 1,
        };
        let named = refused.iter().map(|index| (index + wrong, reason.into()));
        named.flat_map(|named| std::iter::repeat_n(named, times)).collect()
    }

    async fn begin(&mut self, batch: &Batch) -> Result<bool, DeliveryError> {
        match self.memory.fault {
            Fault::Panics => panic!("as asked"),
            Fault::TrustsItsBeginning => {
                if self.begun.iter().any(|id| id == batch.id().as_str()) {
                    return Ok(false);
                }
                self.begun.push(batch.id().as_str().to_owned());
                tokio::task::yield_now().await;
            }
            Fault::Hangs => {
                if std::mem::replace(&mut self.memory.state.lock().locked, true) {
                    std::future::pending::<()>().await;
                }
                tokio::task::yield_now().await;
                self.memory.state.lock().locked = false;
            }
            Fault::FakesTests if self.test => return Ok(false),
            _ => {}
        }
        Ok(true)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        self.knock()?;
        if self.memory.state.lock().failure.is_some() || !self.begin(batch).await? {
            return Ok(Delivered::all());
        }
        let refused = self.refused(batch)?;
        let mut lines = self.lines(batch);
        refused.iter().rev().for_each(|index| drop(lines.remove(*index)));
        self.delivered = true;
        match self.memory.fault {
            Fault::Queues => std::mem::swap(&mut self.queued, &mut lines),
            Fault::CloseRepeats => self.queued.clone_from(&lines),
            Fault::DeliversLate if self.begun == lines => {
                self.queued = std::mem::take(&mut self.begun);
                lines.clear();
            }
            Fault::DeliversLate => {
                self.begun.clone_from(&lines);
                tokio::task::yield_now().await;
                self.begun.clear();
                lines.append(&mut self.queued);
            }
            Fault::Spawns => {
                let memory = self.memory.clone();
                tokio::spawn(async move {
                    for line in lines {
                        memory.write(&line).await;
                    }
                });
                return Ok(Delivered::all());
            }
            _ => {}
        }
        for line in lines {
            self.memory.write(&line).await;
        }
        Ok(Delivered { refused: self.named(&refused), ..Delivered::default() })
    }

    async fn flush(&mut self) -> Result<(), DeliveryError> {
        if self.is(Fault::FlushFails) && !self.delivered {
            return Err(DeliveryError::retry("flush memory: no file"));
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), DeliveryError> {
        self.memory.state.lock().closed = true;
        for line in std::mem::take(&mut self.queued) {
            self.memory.write(&line).await;
        }
        self.flush().await
    }
}

fn rebuilt(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line).map_or_else(|_| line.to_owned(), |value| value.to_string())
}

fn squeezed(line: &str) -> String {
    line.replace(r#"{ "spaced" : [ 1 , 2 ] }"#, r#"{"spaced":[1,2]}"#)
}
