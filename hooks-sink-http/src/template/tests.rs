//! Templates with events, as the sink renders them.

use hooks_core::sink::{Batch, SinkConfig as _};
use hooks_core::{Envelope, Secret};
use serde_json::{Value as Json, json};

use crate::config::{HttpConfig, Mode, Template};
use crate::content::{Content, Unfit};
use crate::ready::Ready;

fn event(more: &str) -> Envelope {
    let json = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"order.paid","time":"2026-11-23T10:00:00.5Z",{more}}}"#
    );
    Envelope::from_json(json.as_bytes()).unwrap()
}

/// What a template with this content type makes of one event with this data.
fn rendered(template: &str, content_type: &str, data: &str) -> Result<String, String> {
    let mut config = HttpConfig::new("http://h/");
    config.mode = Mode::Single;
    config.body = Template::new(template).content_type(content_type).into();
    content(&config, &Batch::for_test([event(&format!(r#""data":{data}"#))])).map(|content| text(&content))
}

fn content(config: &HttpConfig, batch: &Batch) -> Result<Content, String> {
    assert_eq!(config.validate(), []);
    let ready = Ready::new(config).unwrap();
    ready.contents.make("orders", batch).map_err(|Unfit(why)| why)
}

fn text(content: &Content) -> String {
    String::from_utf8(content.body.to_vec()).unwrap()
}

/// With JSON as its result.
fn of_json(template: &str, data: &str) -> Result<String, String> {
    rendered(template, "application/json", data)
}

#[test]
fn what_is_filled_into_json_is_json() {
    let data = r#"{"text":"a \"quoted\" \\ line\nand é","list":[1, "x"],"n":7,"none":null,"yes":true}"#;
    for (template, expected) in [
        (r#"{"text":"-{{ event.data.text }}-"}"#, json!({ "text": "-a \"quoted\" \\ line\nand é-" })),
        (r#"{"text":{{ event.data.text }}}"#, json!({ "text": "a \"quoted\" \\ line\nand é" })),
        (r#"{{ event.data.list }}"#, json!([1, "x"])),
        (r#"{"list":"{{ event.data.list }}"}"#, json!({ "list": "[1, \"x\"]" })),
        (
            r#"["{{ event.data.n }}{{ event.data.yes }}{{ event.data.none }}",{{ event.data.n }},{{ event.data.none }}]"#,
            json!(["7truenull", 7, null]),
        ),
        (
            r#"{{ {"a": event.data.text, "b": event.data.list} }}"#,
            json!({ "a": "a \"quoted\" \\ line\nand é", "b": [1, "x"] }),
        ),
        (r#"{{ event.data.text | tojson }}"#, json!("a \"quoted\" \\ line\nand é")),
        (r#"{"a":"{{ event.data.text | upper | replace("\n", " ") }}"}"#, json!({ "a": "A \"QUOTED\" \\ LINE AND É" })),
        (
            r#"{"a":"{{ event.data.none | string }} {{ event.data.yes | upper | trim }} {{ [none, false, 1, "x"] | join("-") }}"}"#,
            json!({ "a": "null TRUE null-false-1-x" }),
        ),
        (r#"{"a":"{{ "%s: %s" | format(event.data.text | length, event.data.none) }}"}"#, json!({ "a": "23: null" })),
        (r#"{% if event.data.yes %}{% set a = 1 %}{% else %}{% set a = 2 %}{% endif %}[{{ a }}]"#, json!([1])),
        // Where it comes to stand decides, also for what a macro or a block made.
        (
            r#"{% macro field(name, value) %}{"{{ name }}":{{ value }}}{% endmacro %}[{{ field("a", event.data.text) }}]"#,
            json!([{ "a": "a \"quoted\" \\ line\nand é" }]),
        ),
        (
            r#"{% set x %}"{{ event.data.n }}: {{ event.data.text }}"{% endset %}[{{ x }}]"#,
            json!(["7: a \"quoted\" \\ line\nand é"]),
        ),
        (
            r#"{"a":"{{ 'x' if event.data.n > 5 else 'y' }}"{% if event.data.none is none %},"b":1{% endif %}}"#,
            json!({ "a": "x", "b": 1 }),
        ),
    ] {
        let result = of_json(template, data).unwrap_or_else(|why| panic!("{template}: {why}"));
        assert_eq!(serde_json::from_str::<Json>(&result).unwrap(), expected, "{template}: {result}");
    }
}

/// Nothing that an event holds adds to the JSON around it.
#[test]
fn data_stays_where_it_was_put() {
    for hostile in [r#"\",\"admin\":true,\"x\":\""#, "1,2", "]", r"\\", "\u{fdd0}j1\u{fdd1}", "</script>", r"\u0000"] {
        let data = format!(r#"{{"x":"{hostile}"}}"#);
        let value: Json = serde_json::from_str(&data).unwrap();
        for template in [r#"{"a":["{{ event.data.x }}"]}"#, r#"{"a":[{{ event.data.x }}]}"#] {
            let result: Json = serde_json::from_str(&of_json(template, &data).unwrap()).unwrap();
            assert_eq!(result, json!({ "a": [value["x"]] }), "{template} {hostile}");
        }
        let result: Json = serde_json::from_str(&of_json("{{ event.data }}", &data).unwrap()).unwrap();
        assert_eq!(result, value);
    }
}

#[test]
fn numbers_are_not_lossy() {
    for (written, shown) in [
        ("7", "7"),
        ("-7", "-7"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
        ("0.1", "0.1"),
        ("12.50", "12.5"),
        ("1e3", "1000.0"),
        // Beyond 128 bits, and beyond what a float holds: as text.
        ("1234567890123456789012345678901234567890", "\"1234567890123456789012345678901234567890\""),
        ("1e400", "\"1e400\""),
    ] {
        assert_eq!(of_json("{{ event.data }}", written).unwrap(), shown);
        // Within a whole list or table each is as it was written.
        let whole = format!(r#"[{{"n": {written}}}]"#);
        assert_eq!(of_json("{{ event.data }}", &whole).unwrap(), whole);
    }
    assert_eq!(of_json("{{ event.data + 1 }}", "9007199254740993").unwrap(), "9007199254740994");
    assert_eq!(of_json("{{ event.data * 2 > 20 }}", "12.50").unwrap(), "true");
}

#[test]
fn texts_of_other_types() {
    let data = r#"{"a":"<b> & \"c\"","n":[1, 2],"x":null}"#;
    let template = "{{ event.data.a }} {{ event.data.n }} {{ event.data.x }} {{ event.data.n | length }}";
    assert_eq!(rendered(template, "text/plain", data).unwrap(), "<b> & \"c\" [1, 2] null 2");
    let escaped = "&lt;b&gt; &amp; &quot;c&quot; [1, 2] null 2";
    for html in ["text/html; charset=utf-8", "application/xml", "application/atom+xml"] {
        assert_eq!(rendered(template, html, data).unwrap(), escaped);
    }
    let lines = "{\"a\":{{ event.data.a }}}\n{\"a\":2}";
    assert_eq!(rendered(lines, "application/x-ndjson", data).unwrap(), "{\"a\":\"<b> & \\\"c\\\"\"}\n{\"a\":2}");
    assert!(rendered(lines, "application/json", data).unwrap_err().contains("2 values"));
}

#[test]
fn an_event_as_a_template_sees_it() {
    let data = r#"{"list":[{"n":1},{"n":2}],"\ud800":"\ud83d","a.b":1,"x":1,"x":2}"#;
    for (template, expected) in [
        (
            "{{ event.id }} {{ event.type }} {{ event.source }} {{ event.time }}",
            "1 order.paid /s 2026-11-23T10:00:00.5Z",
        ),
        ("{{ event.data.list[1].n }}{{ event.data['list'][-1].n }}{{ event.data.list | length }}", "222"),
        ("{% for one in event.data.list %}{{ one.n }},{% endfor %}", "1,2,"),
        (
            "{% for name, value in event.data | items %}{{ name }}={{ value }};{% endfor %}",
            "a.b=1;list=[{\"n\":1},{\"n\":2}];x=2;\u{fffd}\u{fffd}\u{fffd}=\u{fffd}\u{fffd}\u{fffd};",
        ),
        ("{{ event.data['a.b'] }}{{ event.data.x }}", "12"),
        ("{{ event.subject is defined }} {{ event.subject | default('none') }}", "false none"),
        ("{{ hook }} {{ batch.id | length }}", "orders 36"),
        ("{{ event.time | unix }} {{ event.time | unix_nanos }}", "1795428000.5 1795428000500000000"),
        ("{{ '2026-11-23T12:00:00+02:00' | unix }}", "1795428000"),
        ("{{ (event.type | split('.'))[1] }} {{ 'a b/é' | urlencode }}", "paid a%20b/%C3%A9"),
    ] {
        assert_eq!(rendered(template, "text/plain", data).unwrap(), expected, "{template}");
    }
}

#[test]
fn what_fails_says_where_and_why() {
    for (template, why) in [
        ("{\n\"a\":{{ event.data.none }}}", "line 2: `event.data.none` is undefined"),
        ("{{ event.data.x.y }}", "`event.data.x` is undefined"),
        ("{% if event.nothing %}1{% endif %}1", "`event.nothing` is undefined"),
        ("{\"a\": {{ event.data.a }}", "its result is not JSON: EOF while parsing"),
        ("{# nothing #}", "its result is empty"),
        ("{{ event.data.a | unix }}", "no time like"),
        ("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}1", "steps"),
        ("{% set x = 'x' * 90000000 %}1", "steps"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
    ] {
        let said = of_json(template, r#"{"a":"b"}"#).unwrap_err();
        assert!(said.starts_with("its template: ") && said.contains(why), "{template}: {said}");
    }
}

#[test]
fn a_batch_is_rendered_once_for_all_its_events() {
    let mut config = HttpConfig::new("http://h/");
    config.body =
        Template::new(r#"[{% for event in events %}"{{ event.data }}"{% if not loop.last %},{% endif %}{% endfor %}]"#)
            .into();
    config.header_templates = Some(Box::new(
        [("X-Count", " {{ events | length }} "), ("X-None", "{{ '' }}"), ("x-key", "k-{{ values.key }}")]
            .map(|(name, template)| (name.to_owned(), template.to_owned()))
            .into(),
    ));
    config.values = Some(Box::new([("key".to_owned(), Secret::new("open-sesame"))].into()));
    let batch = Batch::for_test([event(r#""data":1"#), event(r#""data":"b""#)]);
    let content = content(&config, &batch).unwrap();
    assert_eq!(text(&content), r#"["1","b"]"#);
    let headers: Vec<_> =
        content.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("x-count", "2"), ("x-key", "k-open-sesame")]);
}

#[test]
fn a_header_that_cannot_be_sent_is_the_events_fault() {
    let mut config = HttpConfig::new("http://h/");
    config.mode = Mode::Single;
    config.header_templates = Some(Box::new([("x-a".to_owned(), "{{ event.data }}".to_owned())].into()));
    for data in [r#""é""#, r#""a\r\nb: c""#, r#""a\u0000""#] {
        let batch = Batch::for_test([event(&format!(r#""data":{data}"#))]);
        let why = content(&config, &batch).unwrap_err();
        assert!(why.starts_with("the template of header `x-a`: ") && why.contains("ASCII"), "{data}: {why}");
    }
}

#[test]
fn what_is_not_there_is_hinted_at() {
    for (template, why) in [
        ("{{ event.data | tojsn }}", "line 1 of the template: there is no filter `tojsn`, did you mean `tojson`?"),
        (
            "1{% include 'other.j2' %}",
            "unknown statement include: a template stands alone, and takes nothing from others",
        ),
    ] {
        let mut config = HttpConfig::new("http://h/");
        config.mode = Mode::Single;
        config.body = Template::new(template).into();
        let problems = config.validate();
        assert!(problems.len() == 1 && problems[0].message.contains(why), "{problems:?}");
    }
}
