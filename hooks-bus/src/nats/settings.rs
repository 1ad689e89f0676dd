//! The settings of streams and bucket that the promises of the bus need. No I/O.
//!
//! Settings that are not checked change no promise: placement, compression, copies to elsewhere (`republish`), other
//! streams' messages (`sources`), message TTLs and rollups (the bus asks for none), and direct reads.

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType};

/// The faults of the stream of events, apart from those against the configured settings.
pub(super) fn of_events(found: &Config, subjects: &str) -> Vec<String> {
    let mut wrong = of_any(found, subjects);
    if found.max_messages_per_subject > 0 {
        let few = found.max_messages_per_subject;
        wrong.push(format!("it keeps only {few} event(s) of each type (max_msgs_per_subject)"));
    }
    wrong
}

/// The faults of the stream of dead letters, each of which must stay until it is removed by request.
pub(super) fn of_dead_letters(found: &Config, subjects: &str) -> Vec<String> {
    let mut wrong = of_any(found, subjects);
    lasts(found, &mut wrong);
    if found.max_messages_per_subject != 1 {
        wrong.push("max_msgs_per_subject is not 1, by which a dead letter replaces the one before".to_owned());
    }
    if found.deny_delete || found.deny_purge {
        wrong.push("nothing can be removed from it (deny_delete, deny_purge)".to_owned());
    }
    wrong
}

/// The faults of the bucket of owners and positions, which must keep the last value of each key.
pub(super) fn of_bucket(found: &Config, subjects: &str) -> Vec<String> {
    let mut wrong = of_any(found, subjects);
    lasts(found, &mut wrong);
    if found.max_messages_per_subject < 1 {
        wrong.push("it keeps every value that a key ever had (history)".to_owned());
    }
    wrong
}

/// The faults that all of them may have: an acknowledged message must stay, under its subject, and the limits must
/// refuse more.
fn of_any(found: &Config, subjects: &str) -> Vec<String> {
    let limited = found.max_bytes > 0 || found.max_messages > 0;
    let faults = [
        (found.subjects != [subjects], format!("its subjects are {:?}, not [{subjects:?}]", found.subjects)),
        (
            found.retention != RetentionPolicy::Limits,
            format!("its retention is {:?}, which deletes what was read once; it must be Limits", found.retention),
        ),
        (found.no_ack, "it acknowledges nothing (no_ack)".to_owned()),
        (found.sealed, "it takes nothing any more (sealed)".to_owned()),
        (found.mirror.is_some(), "it copies another stream and takes nothing itself (mirror)".to_owned()),
        (
            found.subject_transform.is_some(),
            "it changes subjects, by which everything is found (subject_transform)".to_owned(),
        ),
        (found.allow_message_counter, "it takes nothing but numbers (allow_msg_counter)".to_owned()),
        (
            found.persist_mode == Some(PersistenceMode::Async),
            "it acknowledges what it has not written yet (persist_mode async)".to_owned(),
        ),
        (
            found.storage == StorageType::Memory && found.num_replicas < 2,
            "it is in the memory of one server (storage)".to_owned(),
        ),
        (
            limited && found.discard == DiscardPolicy::Old,
            "when it is full, it deletes what is oldest instead of refusing more (discard is old, must be new)"
                .to_owned(),
        ),
    ];
    faults.into_iter().filter_map(|(wrong, text)| wrong.then_some(text)).collect()
}

/// Adds faults by which messages would end without a request, or a subject would not take its next value.
fn lasts(found: &Config, wrong: &mut Vec<String>) {
    if !found.max_age.is_zero() {
        wrong.push(format!("it deletes what is older than {:?} (max_age)", found.max_age));
    }
    if found.max_message_size > 0 {
        wrong.push(format!("it takes nothing longer than {} bytes (max_msg_size)", found.max_message_size));
    }
    if found.discard_new_per_subject {
        wrong.push("it does not take a new value in place of the one before (discard_new_per_subject)".to_owned());
    }
}
