//! Reads which events of a batch a receiver refused although it took the others:
//! `{"batchItemFailures": [{"itemIdentifier": "<event id>"}]}`.

use std::collections::{BTreeMap, HashMap};

use hooks_core::{RawValue, sink::Batch};
use serde::Deserialize;

/// The meaning of a success's body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading<'a> {
    /// No event was refused.
    None,
    /// These events were refused: index in the batch, in order and each once, and the JSON of the entry.
    Refused(Vec<(usize, &'a str)>),
    /// An identifier stands for events of several sources. In smaller batches it may not.
    Ambiguous,
    /// The body goes on and may still say that events were refused.
    Unfinished,
    /// It says that events were refused, but not which, or not in a way that can be read. These can be.
    Unclear { why: &'static str, items: Vec<(usize, &'a str)> },
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "batchItemFailures")]
    failures: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "itemIdentifier")]
    id: String,
}

/// Reads a body; `whole` says whether it is all of it. A JSON object that is there from end to end is whole in any
/// case.
///
/// The content type does not matter: too many receivers send JSON under another. What is no JSON object
/// says nothing about events, unless it holds the word `batchItemFailures`: then the receiver wanted to
/// say something, and taking it for "all arrived" would lose what it refused.
pub(crate) fn read<'a>(body: &'a [u8], whole: bool, batch: &Batch) -> Reading<'a> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
    match body.first() {
        None if whole => return Reading::None,
        None => return Reading::Unfinished,
        Some(b'{') => {}
        Some(_) => return Reading::None,
    }
    match serde_json::from_slice::<Body<'_>>(body) {
        Ok(Body { failures: None }) => Reading::None,
        Ok(Body { failures: Some(failures) }) => refused(failures.get(), batch),
        Err(error) if error.is_eof() && !whole => Reading::Unfinished,
        Err(_) if mentions_failures(body) => unclear("the answer is no valid JSON"),
        Err(_) => Reading::None,
    }
}

fn mentions_failures(body: &[u8]) -> bool {
    const NAME: &[u8] = b"batchItemFailures";
    body.windows(NAME.len()).any(|window| window == NAME)
}

fn unclear<'a>(why: &'static str) -> Reading<'a> {
    Reading::Unclear { why, items: Vec::new() }
}

fn refused<'a>(failures: &'a str, batch: &Batch) -> Reading<'a> {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(failures) else {
        return unclear("they are no list");
    };
    if items.is_empty() {
        return Reading::None;
    }
    let index = index(batch);
    let (mut refused, mut unclear, mut ambiguous) = (BTreeMap::new(), None, false);
    for item in items {
        let Ok(Item { id }) = serde_json::from_str(item.get()) else {
            unclear.get_or_insert("an entry has no itemIdentifier");
            continue;
        };
        match index.get(&*id) {
            None => drop(unclear.get_or_insert("an identifier is not in the batch")),
            Some(Place { sources: 2.., .. }) => ambiguous = true,
            Some(Place { at, .. }) => at.iter().for_each(|at| {
                refused.entry(*at).or_insert(item.get());
            }),
        }
    }
    let items = refused.into_iter().collect();
    match unclear {
        _ if ambiguous => Reading::Ambiguous,
        Some(why) => Reading::Unclear { why, items },
        None => Reading::Refused(items),
    }
}

/// The events that an id stands for.
struct Place<'a> {
    at: Vec<usize>,
    source: &'a str,
    sources: usize,
}

/// Ids are unique only together with the source. Several with the same id and source are one event that came
/// more than once: what is said of it holds for each.
fn index(batch: &Batch) -> HashMap<&str, Place<'_>> {
    let mut index: HashMap<&str, Place<'_>> = HashMap::with_capacity(batch.len());
    for (at, event) in batch.events().enumerate() {
        let source = event.source();
        let place = index.entry(event.id()).or_insert_with(|| Place { at: Vec::new(), source, sources: 1 });
        place.at.push(at);
        place.sources += usize::from(place.source != source);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::batch;
    use proptest::prelude::*;

    fn reading(body: &str) -> Result<Vec<usize>, &'static str> {
        match read(body.as_bytes(), true, &batch(&["a", "b", "twice", "twice", "é\"1"])) {
            Reading::None => Ok(Vec::new()),
            Reading::Refused(refused) => Ok(refused.into_iter().map(|(index, _)| index).collect()),
            Reading::Unclear { why, .. } => Err(why),
            Reading::Ambiguous => Err("ambiguous"),
            Reading::Unfinished => panic!("the body is whole"),
        }
    }

    #[test]
    fn bodies_that_refuse_nothing() {
        for body in [
            "",
            " \n",
            "OK",
            "null",
            "[]",
            "{}",
            r#"[{"batchItemFailures":[{"itemIdentifier":"a"}]}]"#,
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchitemfailures":[{"itemIdentifier":"a"}]}"#,
            r#"{"nested":{"batchItemFailures":[{"itemIdentifier":"a"}]}}"#,
            "{broken",
            "<p>batchItemFailures",
        ] {
            assert_eq!(reading(body), Ok(Vec::new()), "{body}");
        }
    }

    #[test]
    fn refused_events() {
        for (body, refused) in [
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#, vec![0]),
            (r#" { "ok": 1, "batchItemFailures" : [ {"itemIdentifier":"b"}, {"itemIdentifier":"a"} ] } "#, vec![0, 1]),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"b"}]}"#, vec![1]),
            (r#"{"batchItemFailures":[{"why":[1],"itemIdentifier":"\u00e9\"1"}]}"#, vec![4]),
            ("\u{feff}{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"}]}", vec![0]),
        ] {
            assert_eq!(reading(body), Ok(refused), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_unclear() {
        for body in [
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"zzz"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"twice"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":["a"]}"#,
            r#"{"batchItemFailures":{"itemIdentifier":"a"}}"#,
            r#"{"batchItemFailures":"a"}"#,
            r#"{"batchItemFailures":false}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]} trailing"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}],"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}"#,
        ] {
            assert!(reading(body).is_err(), "{body}");
        }
        let deep = format!(r#"{{"batchItemFailures":[{}{}]}}"#, "[".repeat(5_000), "]".repeat(5_000));
        assert!(reading(&deep).is_err());
        let not_utf8 = b"{\"batchItemFailures\":[{\"itemIdentifier\":\"\xff\"}]}";
        assert!(matches!(read(not_utf8, true, &batch(&["a"])), Reading::Unclear { .. }));
    }

    proptest! {
        /// Any selection of a batch's events, in any order, is read as exactly that.
        #[test]
        fn a_selection_is_read_as_it_is(
            ids in prop::collection::hash_set("\\PC{1,8}", 1..20),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let ids: Vec<String> = ids.into_iter().collect();
            let batch = batch(&ids.iter().map(String::as_str).collect::<Vec<_>>());
            let picked: Vec<usize> = picks.iter().map(|pick| pick.index(ids.len())).collect();
            let items: Vec<_> = picked.iter().map(|at| serde_json::json!({ "itemIdentifier": ids[*at] })).collect();
            let body = serde_json::json!({ "batchItemFailures": items }).to_string();
            let expected: std::collections::BTreeSet<usize> = picked.into_iter().collect();
            let refused = match read(body.as_bytes(), true, &batch) {
                Reading::None => Vec::new(),
                Reading::Refused(refused) => refused.into_iter().map(|(at, _)| at).collect(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(refused, expected.into_iter().collect::<Vec<_>>());
            // Cut anywhere, it is known to be unfinished.
            if !items.is_empty() {
                for end in 0..body.len() {
                    prop_assert_eq!(read(&body.as_bytes()[..end], false, &batch), Reading::Unfinished);
                }
            }
        }
    }
}
