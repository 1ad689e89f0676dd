//! The functions that every event goes through, each a number of times, for counting instructions under
//! callgrind: `cargo xtask instructions` runs it and compares with `baseline.txt`.
//!
//! Only what runs within `counted` is counted; the rest is preparation. The durable bus works on threads of
//! its own: there it is the whole run, less that of the same name with `-start`, which only prepares.

mod log;

use std::hint::black_box;
use std::sync::Arc;

use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::bus::{Read, Reader, Settler, Subscription};
use hooks_core::{
    BoxError, Bus, EventPattern, Filter, HookId, HumanDuration, Ledger, Pattern, QueueLimits, Slice, SliceBuilder,
    TenantId, sink::Batch,
};
use hooks_sink_http::{Body, HttpConfig, Mode, Template, measured_request};
use serde_json::json;
use tokio::runtime::Runtime;

/// Events in a slice and in a batch.
const EVENTS: usize = 100;

/// Slices, so that what happens once weighs little.
const ROUNDS: usize = 100;

/// Hooks that are not matched.
const HOOKS: usize = 1_000;

/// Tenants, each with a hook: publishing for one of many has to cost what it does for one of a few.
const MANY_TENANTS: usize = 10_000;
const FEW_TENANTS: usize = 10;

fn main() -> Result<(), BoxError> {
    if std::env::args().any(|argument| argument == "--names") {
        COUNTED.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    // `cargo bench` without a name checks that all of them run.
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with("--")).collect();
    for (name, run) in COUNTED {
        if names.is_empty() || names.iter().any(|asked| asked == name) {
            run()?;
        }
    }
    Ok(())
}

type Run = fn() -> Result<(), BoxError>;

const COUNTED: [(&str, Run); 17] = [
    ("envelope", envelope),
    ("filter", filter),
    ("globs", globs),
    ("route", route),
    ("patterns", patterns),
    ("tenants", || of_tenants(MANY_TENANTS)),
    ("tenants-few", || of_tenants(FEW_TENANTS)),
    ("body", body),
    ("sign", sign),
    ("single", || singles(Body::CloudEvents)),
    ("binary", || singles(Body::Binary)),
    ("data", || singles(Body::Data)),
    ("template", || singles(Template::new(SLACK).into())),
    ("append", || log::append(ROUNDS)),
    ("append-start", || log::append(0)),
    ("read", || log::read(ROUNDS * EVENTS)),
    ("read-start", || log::read(0)),
];

/// callgrind counts from here to the end of `work`.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn lines() -> Vec<String> {
    let line = |number| {
        format!(
            r#"{{"specversion":"1.0","id":"{number:08x}","source":"/shop/orders","type":"order.{}","subject":"order-{number}","time":"2026-11-23T10:00:00.123Z","data":{{"number":{number},"total":12.5,"paid":true,"items":[{{"sku":"K-1","count":2}}],"note":"{}"}}}}"#,
            ["created", "paid", "sent"][number % 3],
            "please leave it at the door ".repeat(4)
        )
    };
    (0..EVENTS).map(line).collect()
}

fn slice() -> Result<Slice, BoxError> {
    slice_of(&lines())
}

fn slice_of(lines: &[String]) -> Result<Slice, BoxError> {
    let mut slice = SliceBuilder::new("/bench");
    lines.iter().try_for_each(|line| slice.push_json(line.as_bytes()))?;
    Ok(slice.finish())
}

/// From JSON to envelopes.
fn envelope() -> Result<(), BoxError> {
    let lines = lines();
    counted(|| {
        let mut slice = SliceBuilder::new("/bench");
        for _ in 0..ROUNDS {
            lines.iter().try_for_each(|line| slice.push_json(line.as_bytes()))?;
            black_box(slice.finish());
        }
        Ok(())
    })
}

/// A filter with globs of types and subjects.
fn filter() -> Result<(), BoxError> {
    let events = slice()?;
    let filter = Filter::types(["invoice.*", "order.*d"]).subjects(["order-*"]).except_subjects(["*-13"]);
    let matching = || events.iter().filter(|event| filter.matches(event)).count();
    let found: usize = counted(|| (0..ROUNDS).map(|_| matching()).sum());
    // Two types of three, and one subject less.
    if found == ROUNDS * 66 { Ok(()) } else { Err(format!("the filter found {found}").into()) }
}

/// The globs and the text that take longest: every beginning of a piece comes everywhere, and no end.
fn globs() -> Result<(), BoxError> {
    let text = "a".repeat(1 << 20);
    let never =
        ["a".repeat(253) + "b*", "?".to_owned() + &"a".repeat(253) + "b", "?".to_owned() + &"a".repeat(252) + "b*"];
    let globs = never.map(|piece| Pattern::new(format!("*{piece}")));
    let found = counted(|| globs.iter().filter(|glob| glob.matches(black_box(&text))).count());
    if found == 0 { Ok(()) } else { Err(format!("{found} of the globs matched").into()) }
}

/// Publishing to one hook of many, and reading it there.
fn route() -> Result<(), BoxError> {
    let events = slice()?;
    runtime()?.block_on(async {
        let bus = bus();
        for number in 0..HOOKS {
            bus.subscribe(subscription(&format!("hook-{number}"), Filter::types([format!("none-{number}.*")]))?)
                .await?;
        }
        let (mut reader, settler) = bus.subscribe(subscription("hook", Filter::types(["order.*"]))?).await?;
        for _ in 0..ROUNDS {
            deliver(&bus, &events, &mut *reader, &settler)?;
        }
        Ok(())
    })
}

/// Publishing to those of many hooks whose patterns match what is in `data`, and reading it at one of them.
fn patterns() -> Result<(), BoxError> {
    let events = slice()?;
    let data = |pattern| EventPattern::new(&pattern).map(|pattern| Filter::all().data(pattern));
    runtime()?.block_on(async {
        let bus = bus();
        for number in 0..HOOKS {
            let filter = data(json!({ "items": { "sku": [format!("K-{}", number + 2)] } }))?;
            bus.subscribe(subscription(&format!("hook-{number}"), filter)?).await?;
        }
        let filter = data(json!({ "items": { "sku": ["K-1"], "count": [{ "numeric": [">", 1] }] } }))?;
        let (mut reader, settler) = bus.subscribe(subscription("hook", filter)?).await?;
        for _ in 0..ROUNDS {
            deliver(&bus, &events, &mut *reader, &settler)?;
        }
        Ok(())
    })
}

/// Publishing events of one tenant of so many, and reading them there.
fn of_tenants(tenants: usize) -> Result<(), BoxError> {
    let of_tenant = |line: &String| line.replacen('{', r#"{"tenant":"tenant-7","#, 1);
    let events = slice_of(&lines().iter().map(of_tenant).collect::<Vec<_>>())?;
    runtime()?.block_on(async {
        let bus = bus();
        let mut ends = Vec::new();
        for number in 0..tenants {
            let filter = Filter::types(["order.*"]).tenant(TenantId::new(format!("tenant-{number}"))?);
            ends.push(bus.subscribe(subscription(&format!("hook-{number}"), filter)?).await?);
        }
        let (reader, settler) = &mut ends[7];
        for _ in 0..ROUNDS {
            deliver(&bus, &events, &mut **reader, settler)?;
        }
        Ok(())
    })
}

/// A bus that takes the same events again and again.
fn bus() -> MemoryBus {
    MemoryBus::new(&MemoryConfig { duplicate_window: HumanDuration::default(), ..MemoryConfig::default() })
}

fn subscription(id: &str, filter: Filter) -> Result<Subscription, BoxError> {
    let (hook, ledger, queue) = (HookId::new(id)?, Arc::<Ledger>::default(), QueueLimits::default());
    Ok(Subscription::new(hook, filter, ledger).queue(queue))
}

/// Publishes events, reads and settles them: all of it counted.
fn deliver(bus: &MemoryBus, events: &Slice, reader: &mut dyn Reader, settler: &Settler) -> Result<(), BoxError> {
    let mut read = Vec::new();
    let found = counted(|| {
        at_once(async {
            bus.publish(events.clone()).await?;
            reader.next(EVENTS, &mut read).await
        })
    })
    .ok_or("publishing waited")??;
    if found != Read::Events(EVENTS) {
        return Err("not all events were read".into());
    }
    let positions: Vec<_> = read.iter().map(|delivery| delivery.position).collect();
    counted(|| settler.settle(&positions, hooks_core::Outcome::Delivered));
    Ok(())
}

/// The output of a future that is ready at once.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// A request with a batch as its body.
fn body() -> Result<(), BoxError> {
    request(HttpConfig::new("http://example.com/hooks"))
}

/// The same, signed.
fn sign() -> Result<(), BoxError> {
    request(HttpConfig::new("http://example.com/hooks").secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"))
}

fn request(config: HttpConfig) -> Result<(), BoxError> {
    let batch = Batch::for_test([slice()?]);
    let mut make = measured_request(&config)?;
    let bytes: usize = counted(|| (0..ROUNDS).map(|_| make(&batch)).sum());
    if bytes < ROUNDS * EVENTS { Err("an empty body".into()) } else { Ok(()) }
}

/// A message for a chat, as `docs/receivers.md` has them.
const SLACK: &str = r#"{
  "text": "Order {{ event.data.number }} of {{ event.subject }}: {{ event.type }}",
  "blocks": [
    {"type": "section", "text": {"type": "plain_text", "text": "{{ event.data.note }}"}},
    {% for item in event.data["items"] %}{"type": "section", "text": {"type": "plain_text", "text": "{{ item.sku }}: {{ item.count }}"}}{% if not loop.last %},{% endif %}{% endfor %}
  ]
}"#;

/// A signed request for each event, of this shape.
fn singles(body: Body) -> Result<(), BoxError> {
    let mut config = HttpConfig::new("http://example.com/hooks").secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    (config.mode, config.body) = (Mode::Single, body);
    let batches: Vec<Batch> = slice()?.iter().map(|event| Batch::for_test([event.clone()])).collect();
    let mut make = measured_request(&config)?;
    let all = |make: &mut dyn FnMut(&Batch) -> usize| -> usize { batches.iter().map(make).sum() };
    let bytes: usize = counted(|| (0..ROUNDS).map(|_| all(&mut make)).sum());
    if bytes < ROUNDS * EVENTS { Err("an empty body".into()) } else { Ok(()) }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().build()
}
