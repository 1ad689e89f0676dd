//! What SQL takes for an event, and what the reader does.

use hooks_core::{EnvelopeError, SliceBuilder};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use super::{Server, bus, client};

const NAMES: &[&str] = &[
    "specversion",
    "id",
    "source",
    "time",
    "type",
    "subject",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
    "tenant",
    "partitionkey",
    "region",
    "a1",
    "Region",
    "a_b",
    "\u{e9}",
    "\\u0072egion",
    "",
];

const VALUES: &[&str] = &[
    r#""a""#,
    r#""a""#,
    r#""a""#,
    r#""""#,
    r#""1.0""#,
    r#""/s""#,
    r#""hooks.a""#,
    r#""é""#,
    r#""\ud83d\ude00""#,
    r#""\ud800""#,
    r#""\u0000""#,
    r#""\u0007""#,
    r#""\u0085""#,
    "\"\u{7f}\"",
    "\"\u{9f}\"",
    "\"\u{a0}\"",
    "7",
    "-1.5e3",
    "true",
    "null",
    "{}",
    "[1]",
    r#"{"\u0061":"\ud800","b":{"b":1,"b":2}}"#,
    "DEEP",
];

fn time() -> impl Strategy<Value = String> {
    let seconds = select(&["00", "59", "60", "61"][..]);
    let rest = select(&["Z", "z", ".5Z", ".Z", "+23:59", "-24:00", "+1:00", ""][..]);
    (0..2030, 0..14, 0..33, 0..26, seconds, select(&["T", "t", " "][..]), rest).prop_map(
        |(year, month, day, hour, second, between, rest)| {
            format!("\"{year:04}-{month:02}-{day:02}{between}{hour:02}:07:{second}{rest}\"")
        },
    )
}

fn event() -> impl Strategy<Value = String> {
    let value = prop_oneof![4 => select(VALUES).prop_map(str::to_owned), 1 => time()];
    let times = prop::option::of(time());
    let others = prop::collection::vec((select(NAMES), value), 0..4);
    (times, others, any::<bool>()).prop_map(|(time, others, has_type)| {
        let members = has_type.then(|| r#""type":"t""#.to_owned()).into_iter();
        let members = members.chain(time.map(|time| format!("\"time\":{time}")));
        let members = members.chain(others.into_iter().map(|(name, value)| format!("\"{name}\": {value}")));
        let deep = "[".repeat(300) + &"]".repeat(300);
        format!(" {{{}}}", members.collect::<Vec<_>>().join(",\n")).replace("DEEP", &deep)
    })
}

fn read(json: &str) -> Result<String, EnvelopeError> {
    let mut slice = SliceBuilder::new("").max_event_bytes(usize::MAX).refuse_reserved();
    slice.push_json(json.as_bytes())?;
    Ok(slice.finish()[0].json().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sql_takes_the_reader_reads_and_the_other_way_round() {
    let Some(server) = Server::start() else { return };
    drop(bus(&server).await);
    let client = client(&server).await;
    let checked =
        client.prepare("SELECT (e).whole::text, (e).why FROM hooks.examine($1::text::json) AS e").await.unwrap();
    let check = |event: String| {
        let row = Handle::current().block_on(client.query_one(&checked, &[&event])).unwrap();
        match (row.get::<_, Option<&str>>(0), row.get::<_, Option<&str>>(1)) {
            (Some(whole), None) => match read(whole) {
                // Nothing is filled in later: each reader would do so in another way.
                Ok(taken) => prop_assert_eq!(taken, whole.replace('\n', " ")),
                Err(EnvelopeError::TooDeep { .. }) => {}
                Err(EnvelopeError::IllegalName(name)) if name.contains('\\') => {}
                Err(error) => prop_assert!(false, "SQL takes {}: {}", whole, error),
            },
            (None, Some(why)) => {
                let is_stricter = why.contains("has to be a text that is not empty") && event.contains("null")
                    // The name it stands for.
                    || why.contains("twice") && event.contains("\\u0072egion");
                prop_assert!(is_stricter || read(&event).is_err(), "SQL refuses {}: {}", event, why);
            }
            both => prop_assert!(false, "{:?}", both),
        }
        Ok(())
    };
    tokio::task::block_in_place(|| {
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(4_000) })
            .run(&event(), check)
            .unwrap_or_else(|error| panic!("{error}"));
    });
}
