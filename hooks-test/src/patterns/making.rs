//! Random events, and random patterns that are likely to match them.

use hooks_core::serde_json::{Map, Value as Json, json};

use super::{HALF, HUGE};

/// Random numbers that are the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Those of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below this one.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// An event's `data`.
#[derive(Debug, Clone)]
pub struct Made {
    /// As a value in which [`HALF`] and [`HUGE`] stand for what no value can hold.
    pub value: Json,
    /// As it is written.
    pub text: String,
}

const NAMES: [&str; 5] = ["a", "b", "c", "é\"/~", ""];

const TEXTS: [&str; 14] =
    ["", "x", "X", "xy", "yx", "xyxy", "éÉ", "ÉÉ", "K", "*\\", "10.0.0.1", "10.0.1.1", "2001:db8::1", "\u{e000}x"];

/// A random event.
pub fn event_of(random: &mut Random) -> Made {
    let value = container(random, 0);
    let text = text_of(&value, random);
    Made { value, text }
}

fn container(random: &mut Random, depth: usize) -> Json {
    if random.once_in(3) && depth > 0 || random.once_in(20) {
        return (0..random.below(4)).map(|_| any(random, depth + 1)).collect();
    }
    let count = random.below(4) + usize::from(depth == 0);
    let member = |random: &mut Random| (random.one(&NAMES).to_owned(), any(random, depth + 1));
    Json::Object((0..count).map(|_| member(random)).collect())
}

fn any(random: &mut Random, depth: usize) -> Json {
    if depth < 4 && random.once_in(2) { container(random, depth) } else { scalar(random) }
}

fn scalar(random: &mut Random) -> Json {
    match random.below(8) {
        0 => Json::Null,
        1 => Json::Bool(random.once_in(2)),
        2 => json!(random.below(4)),
        3 => json!([-1.0, 0.5, -0.0, 301.8, HUGE][random.below(5)]),
        _ => random.one(&TEXTS).into(),
    }
}

/// A value as JSON, spelled in one of many ways: with spaces, escapes, and members that others replace.
pub fn text_of(value: &Json, random: &mut Random) -> String {
    let mut text = String::new();
    write(value, random, &mut text);
    text
}

fn write(value: &Json, random: &mut Random, text: &mut String) {
    match value {
        Json::Object(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                if random.once_in(6) {
                    member(name, &any(random, 2), random, text);
                    text.push(',');
                    if random.once_in(2) {
                        // Of a name that no pattern has.
                        member("z", &any(random, 2), random, text);
                        text.push(',');
                    }
                }
                member(name, value, random, text);
            }
            text.push('}');
        }
        Json::Array(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write(value, random, text);
            }
            text.push_str(if random.once_in(8) { " ]" } else { "]" });
        }
        Json::String(string) => write_string(string, random, text),
        Json::Number(number) => text.push_str(&spelled(number.as_f64().unwrap(), random)),
        other => text.push_str(&other.to_string()),
    }
}

fn member(name: &str, value: &Json, random: &mut Random, text: &mut String) {
    write_string(name, random, text);
    text.push_str(if random.once_in(8) { " :\n " } else { ":" });
    write(value, random, text);
    text.push_str(if random.once_in(8) { "\t" } else { "" });
}

fn write_string(string: &str, random: &mut Random, text: &mut String) {
    text.push('"');
    for char in string.chars() {
        if char == HALF {
            text.push_str("\\ud800");
        } else if random.once_in(5) {
            let mut units = [0; 2];
            char.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            let plain = Json::from(char.to_string()).to_string();
            text.push_str(&plain[1..plain.len() - 1]);
        }
    }
    text.push('"');
}

fn spelled(number: f64, random: &mut Random) -> String {
    if number == HUGE {
        return ["1e400", "1e309", "9e999"][random.below(3)].to_owned();
    }
    match random.below(4) {
        0 => format!("{number:e}"),
        1 => format!("{number:.3}E+0"),
        2 if number.fract() == 0.0 => format!("{number:.1}"),
        _ => number.to_string(),
    }
}

/// A random pattern that often matches this event.
pub fn pattern_for(event: &Json, random: &mut Random) -> Json {
    let mut pattern = Map::new();
    conditions(event, random, &mut pattern);
    if random.once_in(4) {
        let groups: Vec<Json> = (0..2 + random.below(2)).map(|_| group(event, random)).collect();
        if random.once_in(2) {
            // A field may not be named twice for the same events.
            pattern.retain(|name, _| groups.iter().all(|group| group.get(name).is_none()));
        }
        pattern.insert("$or".to_owned(), Json::from(groups));
    }
    if pattern.is_empty() {
        pattern.insert("a".to_owned(), alternatives(&Json::Null, random));
    }
    Json::Object(pattern)
}

fn group(event: &Json, random: &mut Random) -> Json {
    let mut group = Map::new();
    conditions(event, random, &mut group);
    if group.is_empty() {
        group.insert("b".to_owned(), alternatives(&Json::Null, random));
    }
    Json::Object(group)
}

/// Any pattern.
pub fn pattern_of(random: &mut Random) -> Json {
    let event = container(random, 0);
    pattern_for(&event, random)
}

/// Conditions on some members of an object, or of an element of an array.
fn conditions(event: &Json, random: &mut Random, pattern: &mut Map<String, Json>) {
    match event {
        Json::Object(members) => {
            for (name, value) in members {
                if random.once_in(3) {
                    continue;
                }
                match value {
                    Json::Object(_) | Json::Array(_) => below(name, value, random, pattern),
                    value => {
                        pattern.insert(name.clone(), alternatives(value, random));
                    }
                }
            }
            if random.once_in(8) {
                let name = random.one(&NAMES);
                pattern.entry(name).or_insert_with(|| alternatives(&Json::Null, random));
            }
        }
        Json::Array(list) if !list.is_empty() => conditions(&list[random.below(list.len())], random, pattern),
        _ => {}
    }
}

fn below(name: &str, value: &Json, random: &mut Random, pattern: &mut Map<String, Json>) {
    let mut inner = value;
    while let Json::Array(list) = inner
        && !list.is_empty()
    {
        inner = &list[random.below(list.len())];
    }
    let mut nested = Map::new();
    if inner.is_object() {
        conditions(value, random, &mut nested);
    }
    let condition = match nested.is_empty() {
        true => alternatives(inner, random),
        false if random.once_in(8) => json!({ "$or": [nested, { "c": alternatives(&Json::Null, random) }] }),
        false => Json::Object(nested),
    };
    pattern.insert(name.to_owned(), condition);
}

/// One to three alternatives, some of which fit the value.
fn alternatives(value: &Json, random: &mut Random) -> Json {
    (0..1 + random.below(3)).map(|_| alternative(value, random)).collect()
}

fn alternative(value: &Json, random: &mut Random) -> Json {
    let own = if random.once_in(3) { scalar(random) } else { value.clone() };
    let own = if own.is_object() || own.is_array() || own == json!(HUGE) { json!(1) } else { own };
    let own = if own.as_str().is_some_and(|text| text.contains(HALF)) { json!("x") } else { own };
    match (random.below(10), &own) {
        (0, _) => json!({ "exists": random.once_in(3) }),
        (1, _) => json!({ "anything-but": denied(&own, random) }),
        (2..=5, Json::String(text)) => operator(text, random),
        (2..=5, Json::Number(number)) => numeric(number.as_f64().unwrap(), random),
        _ => own,
    }
}

fn denied(own: &Json, random: &mut Random) -> Json {
    let text = random.one(&["x", "X", "xy", "éÉ"]);
    match (random.below(8), own) {
        (0, _) => json!({ "prefix": text }),
        (1, _) => json!({ "suffix": [text, "é"] }),
        (2, _) => json!({ "equals-ignore-case": [text] }),
        (3, _) => json!({ "wildcard": ["*y", "x*x"] }),
        (4, Json::Number(_)) => json!([own, 7]),
        (_, Json::Number(_) | Json::String(_)) if random.once_in(2) => own.clone(),
        (4, _) => json!([text, "K"]),
        _ => json!(text),
    }
}

fn operator(text: &str, random: &mut Random) -> Json {
    let chars: Vec<char> = text.chars().collect();
    let cut = random.below(chars.len() + 1);
    let (front, back): (String, String) = (chars[..cut].iter().collect(), chars[cut..].iter().collect());
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('*', "\\*");
    match random.below(8) {
        0 => json!({ "prefix": front }),
        1 => json!({ "suffix": back }),
        2 => json!({ "prefix": { "equals-ignore-case": front.to_uppercase() } }),
        3 => json!({ "suffix": { "equals-ignore-case": back.to_lowercase() } }),
        4 => json!({ "equals-ignore-case": text.to_uppercase() }),
        5 => json!({ "wildcard": format!("{}*", escaped(&front)) }),
        6 => json!({ "wildcard": format!("*{}", escaped(&back)) }),
        _ => json!({ "cidr": random.one(&["10.0.0.0/24", "10.0.0.0/8", "2001:db8::/32", "::/0", "10.0.1.1/32"]) }),
    }
}

fn numeric(number: f64, random: &mut Random) -> Json {
    let number = number + [0.0, 0.0, 0.5][random.below(3)];
    match random.below(6) {
        0 => json!({ "numeric": ["=", number] }),
        1 => json!({ "numeric": ["<", number] }),
        2 => json!({ "numeric": [">=", number] }),
        3 => json!({ "numeric": [">", number] }),
        4 => json!({ "numeric": [">", number - 1.0, "<=", number] }),
        _ => json!({ "numeric": [">=", number, "<", number + 1.0] }),
    }
}
