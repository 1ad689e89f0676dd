//! Checks of definitions of hooks, and of the positions that hooks get with them.

use super::keeping::refused;
use super::probe::Probe;
use crate::bus::{Bus, DefineError, Definition, Expected, Revision, StartAt, Subscription};
use crate::conformance::run::{Checked, Stop};
use crate::envelope::Envelope;
use crate::id::HookId;

/// The text of a definition with characters that are easily lost.
const PECULIAR: &str = "{\"sink\":{\"type\":\"é\\n\\u0000\"},\"z\":1, \"a\":2.50}";

impl Probe<'_> {
    /// Defines a hook. Skips the check if the bus keeps no definitions.
    async fn define(&self, bus: &dyn Bus, hook: &HookId, text: &str, expected: Expected) -> Checked<Definition> {
        self.define_from(bus, hook, text, expected, StartAt::End).await
    }

    async fn define_from(
        &self,
        bus: &dyn Bus,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Checked<Definition> {
        match bus.hooks().define(hook, text, expected, from).await {
            Ok(definition) => Ok(definition),
            Err(DefineError::NotKept) => Err(Stop::Skipped("the bus keeps no definitions of hooks".to_owned())),
            Err(error) => Err(self.failed(format!("`define` of the hook `{hook}` fails: {error}"))),
        }
    }

    async fn undefine(&self, bus: &dyn Bus, hook: &HookId, expected: Expected) -> Checked<bool> {
        let undefined = bus.hooks().undefine(hook, expected).await;
        undefined.map_err(|error| self.failed(format!("`undefine` of the hook `{hook}` fails: {error}")))
    }

    async fn definition(&self, bus: &dyn Bus, hook: &HookId) -> Checked<Option<Definition>> {
        bus.hooks().definition(hook).await.map_err(|error| self.failed(format!("`definition` fails: {error}")))
    }

    /// Checks that a hook has this definition.
    async fn has(&self, bus: &dyn Bus, hook: &HookId, wanted: Option<&Definition>) -> Checked {
        let there = self.definition(bus, hook).await?;
        let described = |definition: Option<&Definition>| {
            definition.map_or("none".to_owned(), |definition| format!("{} {}", definition.revision, definition.text))
        };
        let (found, expected) = (described(there.as_ref()), described(wanted));
        self.expect(there.as_ref() == wanted, format!("the definition is {found} instead of {expected}"))
    }

    /// Checks that a change was refused, since the definition has this revision.
    fn conflicts<T>(&self, result: Result<T, DefineError>, wanted: Option<Revision>) -> Checked {
        match result {
            Err(DefineError::Conflict { current }) if current == wanted => Ok(()),
            Err(error) => Err(self.failed(format!("it says: {error:?}, and the revision is {wanted:?}"))),
            Ok(_) => Err(self.failed("it is done against what was expected")),
        }
    }
}

pub(super) async fn definitions(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (id, other) = (HookId::new("a")?, HookId::new("a.b")?);
    probe.doing("define a hook");
    let first = probe.define(&*bus, &id, PECULIAR, Expected::Absent).await?;
    let fits = first.hook == id && *first.text == *PECULIAR && first.created == first.changed;
    probe.expect(fits, format!("it says {first:?}"))?;
    probe.has(&*bus, &id, Some(&first)).await?;
    probe.has(&*bus, &other, None).await?;
    probe.doing("change a definition");
    let second = probe.define(&*bus, &id, "{}", Expected::At(first.revision)).await?;
    probe.expect(second.revision > first.revision, format!("{} is behind {}", second.revision, first.revision))?;
    let fits = second.created == first.created && second.changed >= first.changed && &*second.text == "{}";
    probe.expect(fits, format!("it says {second:?} after {first:?}"))?;
    probe.has(&*bus, &id, Some(&second)).await?;
    let hooks = bus.hooks();
    for expected in [Expected::Absent, Expected::At(first.revision)] {
        probe.doing(format!("change a definition whose revision is {}, and expect {expected:?}", second.revision));
        probe.conflicts(hooks.define(&id, "{\"late\":1}", expected, StartAt::End).await, Some(second.revision))?;
        probe.conflicts(hooks.undefine(&id, expected).await, Some(second.revision))?;
        probe.has(&*bus, &id, Some(&second)).await?;
    }
    probe.doing("define a hook that is not defined, and expect a revision of it");
    probe.conflicts(hooks.define(&other, "{}", Expected::At(second.revision), StartAt::End).await, None)?;
    probe.conflicts(hooks.undefine(&other, Expected::At(second.revision)).await, None)?;
    probe.has(&*bus, &other, None).await?;
    let third = probe.define(&*bus, &id, PECULIAR, Expected::Any).await?;
    listing(probe, &*bus, third).await
}

/// Lists definitions in pages, with this one among them.
async fn listing(probe: &Probe<'_>, bus: &dyn Bus, first: Definition) -> Checked {
    let mut all = vec![first];
    // By name, not in the order in which they were defined.
    for name in ["c", "B", "a.b", "a-1", "b"] {
        all.push(probe.define(bus, &HookId::new(name)?, &format!("{{\"of\":\"{name}\"}}"), Expected::Any).await?);
    }
    all.sort_by(|one, other| one.hook.cmp(&other.hook));
    for limit in [1, 2, all.len(), all.len() + 1] {
        probe.doing(format!("list {} definitions in pages of {limit}", all.len()));
        let mut listed: Vec<Definition> = Vec::new();
        loop {
            let after = listed.last().map(|last| last.hook.clone());
            let page = bus.hooks().definitions(after.as_ref(), limit).await.map_err(|error| probe.failed(error))?;
            probe.expect(page.len() <= limit, format!("a page has {}", page.len()))?;
            listed.extend(page.iter().cloned());
            if page.len() < limit || listed.len() > all.len() {
                break;
            }
        }
        probe.expect(listed == all, format!("listed are {listed:?} instead of {all:?}"))?;
    }
    probe.doing("read the definitions of several hooks, one of which is not defined");
    let names: Vec<_> =
        all.iter().map(|definition| definition.hook.clone()).rev().chain([HookId::new("no")?]).collect();
    let read = bus.hooks().definitions_of(&names).await.map_err(|error| probe.failed(error))?;
    let expected: Vec<_> = all.into_iter().rev().map(Some).chain([None]).collect();
    probe.expect(read == expected, format!("read are {read:?} instead of {expected:?}"))
}

pub(super) async fn defining(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (id, old) = (HookId::new("a")?, HookId::new("old")?);
    let before = probe.send(&*bus, "before", 2).await?;
    probe.define(&*bus, &id, "{}", Expected::Absent).await?;
    probe.define_from(&*bus, &old, "{}", Expected::Absent, StartAt::Earliest).await?;
    let mut sent = probe.send(&*bus, "after", 3).await?;
    probe.doing("subscribe a hook that was defined before events were published");
    // Where a new hook would begin says nothing about one that has a position.
    let earliest = Subscription { from: StartAt::Earliest, ..probe.subscription("a")? };
    let mut hook = probe.subscribe(&*bus, earliest).await?;
    sent.push(probe.mark(&*bus).await?);
    let read = hook.until(&sent[3]).await?;
    probe.same(&sent, &read)?;
    hook.settle(&read[..2])?;
    probe.doing("subscribe a hook that was defined to begin with the oldest event");
    let mut from_earliest = probe.hook(&*bus, "old").await?;
    let gone = if probe.traits.keeps_events { 0 } else { before.len() };
    let all: Vec<&Envelope> = before.iter().skip(gone).chain(&sent).collect();
    probe.same(all, &from_earliest.until(&sent[3]).await?)?;
    probe.doing("define a hook again that has a position");
    probe.define_from(&*bus, &id, "{\"again\":1}", Expected::Any, StartAt::Earliest).await?;
    drop(hook);
    let mut hook = probe.hook(&*bus, "a").await?;
    probe.same(&sent[2..], &hook.until(&sent[3]).await?)
}

pub(super) async fn undefining(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let id = HookId::new("a")?;
    let mut revision = probe.define(&*bus, &id, "{}", Expected::Absent).await?.revision;
    for round in 0..3 {
        let mut hook = probe.hook(&*bus, "a").await?;
        let sent = probe.send(&*bus, &format!("round-{round}"), 3).await?;
        let read = hook.take(3).await?;
        probe.doing("subscribe a hook that was defined again");
        probe.same(&sent, &read)?;
        probe.doing("undefine a hook that is subscribed");
        let refused_in_use = matches!(bus.hooks().undefine(&id, Expected::Any).await, Err(DefineError::Bus(_)));
        probe.expect(refused_in_use, "it does not fail")?;
        bus.hooks().set_override(&id, Some(refused("gone"))).await.map_err(|error| probe.failed(error))?;
        if let Some(dead_letters) = bus.hooks().dead_letters(&id) {
            let kept = super::dead_letters::dead_letter(read[0].position.get(), "gone")?;
            dead_letters.keep(vec![kept]).await.map_err(|error| probe.failed(error))?;
        }
        bus.unsubscribe(&id).await.map_err(|error| probe.failed(error))?;
        drop(hook);
        probe.doing("undefine a hook");
        probe.expect(probe.undefine(&*bus, &id, Expected::At(revision)).await?, "it says that there was none")?;
        probe.expect(!probe.undefine(&*bus, &id, Expected::Any).await?, "a second time it says that there was one")?;
        probe.has(&*bus, &id, None).await?;
        let dead_letters = bus.hooks().dead_letters(&id).map_or(0, |dead_letters| dead_letters.count());
        let left = (bus.hooks().known_hooks(), bus.hooks().overrides(&id), dead_letters);
        probe.expect(left == (Vec::new(), None, 0), format!("still known are {left:?}"))?;
        probe.send(&*bus, &format!("without-{round}"), 2).await?;
        probe.doing("define a hook again that was undefined");
        let again = probe.define(&*bus, &id, "{}", Expected::Absent).await?;
        probe.expect(again.revision > revision, format!("its revision is {}, after {revision}", again.revision))?;
        revision = again.revision;
    }
    Ok(())
}

pub(super) async fn kept_definitions(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (id, gone) = (HookId::new("a")?, HookId::new("gone")?);
    probe.define(&*bus, &gone, PECULIAR, Expected::Absent).await?;
    let old = probe.define(&*bus, &id, PECULIAR, Expected::Absent).await?;
    let definition = probe.define(&*bus, &id, "{}", Expected::At(old.revision)).await?;
    let mut sent = probe.send(&*bus, "defined", 3).await?;
    probe.undefine(&*bus, &gone, Expected::Any).await?;
    probe.doing("crash when a hook was defined that was never subscribed, and open the bus again");
    probe.store.crash(bus).await;
    let bus = probe.open().await?;
    probe.has(&*bus, &id, Some(&definition)).await?;
    probe.has(&*bus, &gone, None).await?;
    sent.extend(probe.send(&*bus, "later", 2).await?);
    probe.doing("end the process in order, and open the bus again");
    probe.end(bus).await;
    let bus = probe.open().await?;
    probe.has(&*bus, &id, Some(&definition)).await?;
    probe.expect(bus.hooks().known_hooks() == [id], format!("known are {:?}", bus.hooks().known_hooks()))?;
    let again = probe.define(&*bus, &gone, "{}", Expected::Absent).await?;
    probe.expect(again.revision > definition.revision, format!("{} comes again", again.revision))?;
    let mut hook = probe.hook(&*bus, "a").await?;
    sent.push(probe.mark(&*bus).await?);
    probe.same(&sent, &hook.until(&sent[5]).await?)
}

pub(super) async fn shared_definitions(probe: &Probe<'_>) -> Checked {
    let (here, elsewhere) = (probe.open().await?, probe.open().await?);
    let id = HookId::new("a")?;
    let definition = probe.define(&*elsewhere, &id, "{}", Expected::Absent).await?;
    let mut sent = probe.send(&*here, "at-once", 3).await?;
    probe.doing("crash the process that defined a hook, and wait for word of it in another");
    probe.store.crash(elsewhere).await;
    hears(probe, &*here, &id, Some(&definition)).await?;
    let mut hook = probe.hook(&*here, "a").await?;
    sent.push(probe.mark(&*here).await?);
    let read = hook.until(&sent[3]).await?;
    probe.same(&sent, &read)?;
    hook.settle(&read[..1])?;
    let elsewhere = probe.open().await?;
    probe.doing("change in one process what another has defined");
    let changed = probe.define(&*elsewhere, &id, "{\"b\":1}", Expected::At(definition.revision)).await?;
    hears(probe, &*here, &id, Some(&changed)).await?;
    let stale = here.hooks().define(&id, "{}", Expected::At(definition.revision), StartAt::End).await;
    probe.conflicts(stale, Some(changed.revision))?;
    probe.doing("undefine a hook that another process has subscribed");
    probe.undefine(&*elsewhere, &id, Expected::At(changed.revision)).await?;
    hears(probe, &*here, &id, None).await?;
    here.unsubscribe(&id).await.map_err(|error| probe.failed(error))?;
    drop(hook);
    probe.send(&*here, "without", 2).await?;
    let again = probe.define(&*elsewhere, &id, "{}", Expected::Absent).await?;
    let mut sent = probe.send(&*here, "again", 2).await?;
    hears(probe, &*here, &id, Some(&again)).await?;
    probe.doing("subscribe a hook that was undefined and defined again elsewhere");
    let mut hook = probe.hook(&*here, "a").await?;
    sent.push(probe.mark(&*elsewhere).await?);
    probe.same(&sent, &hook.until(&sent[2]).await?)
}

/// Waits for word of a change of this hook, to this definition.
async fn hears(probe: &Probe<'_>, bus: &dyn Bus, hook: &HookId, wanted: Option<&Definition>) -> Checked {
    loop {
        let named = bus.hooks().follow_definitions().await;
        probe.expect(named == *hook, format!("it is said to be about `{named}`"))?;
        // It may have been named for a change before.
        if probe.definition(bus, hook).await?.as_ref() == wanted {
            return Ok(());
        }
    }
}
