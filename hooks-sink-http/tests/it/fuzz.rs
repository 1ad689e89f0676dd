//! Answers that nobody would think of.

use hooks_sink_http::fuzz_outcome;
use proptest::prelude::*;

fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        " ",
        "\n",
        "null",
        "1e999",
        "\"a\"",
        "\"b\"",
        "\"c\"",
        "\"\\u00",
        "\u{feff}",
        "\"batchItemFailures\"",
        "\"itemIdentifier\"",
        "{\"batchItemFailures\":[",
        "{\"itemIdentifier\":\"a\"}",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop::sample::select(vec!["retry-after", "content-encoding", "content-type", "\0"]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[0-9]{0,30}".prop_map(String::into_bytes),
        "(Sun|Sunday), [0-9]{2}[ -](Nov|Xyz)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT".prop_map(String::into_bytes),
    ];
    prop::collection::vec((name.prop_map(|name| name.as_bytes().to_vec()), value), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_answer_can_be_judged(
        status in prop_oneof![any::<u16>(), 100u16..600, 200u16..300],
        headers in headers(),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), near_json()],
        whole in any::<bool>(),
    ) {
        let headers: Vec<(&[u8], &[u8])> = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        fuzz_outcome(status, &headers, &body, whole);
    }
}

#[test]
fn deep_nesting_can_be_judged() {
    for open in ["[", "{\"a\":", "{\"batchItemFailures\":", "{\"batchItemFailures\":[{\"itemIdentifier\":["] {
        fuzz_outcome(200, &[], open.repeat(20_000).as_bytes(), true);
        fuzz_outcome(200, &[], open.repeat(20_000).as_bytes(), false);
    }
}
