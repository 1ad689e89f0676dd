//! A place in a trace, as `traceparent` says it (W3C Trace Context): `00-<trace id>-<span id>-<flags>`.

use ring::rand::{SecureRandom as _, SystemRandom};

/// A span, and the trace that it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) flags: u8,
}

/// The trace is recorded.
const SAMPLED: u8 = 1;

impl Context {
    /// `None`: it is none. Of later versions that much is known to be the same.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.split('-');
        let [version] = hex(parts.next()?)?;
        let (trace, span, [flags]) = (hex(parts.next()?)?, hex(parts.next()?)?, hex(parts.next()?)?);
        let is_whole = version != 0 || parts.next().is_none();
        let is_one = is_whole && version != 0xff && trace != [0; 16] && span != [0; 8];
        is_one.then_some(Self { trace, span, flags })
    }

    /// Of an event, by its JSON.
    pub(super) fn of_event(json: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Traced<'a> {
            #[serde(borrow)]
            traceparent: Option<std::borrow::Cow<'a, str>>,
        }
        memchr::memmem::find(json.as_bytes(), b"\"traceparent\"")?;
        let traced: Traced<'_> = serde_json::from_str(json).ok()?;
        Self::parse(traced.traceparent?.as_bytes())
    }

    /// A new span: of this one's trace, or of a new one.
    pub(super) fn below(parent: Option<&Self>) -> Self {
        let mut random = [0; 24];
        // Where the system has no random numbers, spans have no names of their own, and deliveries go on.
        let _ = SystemRandom::new().fill(&mut random);
        let (trace, span) = random.split_at(16);
        let [trace, span] = [trace, span].map(<[u8]>::to_vec);
        Self {
            trace: parent.map_or_else(|| trace.try_into().unwrap_or([1; 16]), |parent| parent.trace),
            span: span.try_into().unwrap_or([1; 8]),
            flags: parent.map_or(SAMPLED, |parent| parent.flags),
        }
    }

    pub(super) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// True if this trace is among so many of all, from 0 to 1: the same everywhere, by its id.
    pub(super) fn is_among(&self, share: f64) -> bool {
        let [.., a, b, c, d, e, f, g] = self.trace;
        let drawn = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        (drawn as f64) < share * (1_u64 << 56) as f64
    }
}

/// Bytes of small hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; N];
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_or_is_none() {
        let context = Context::parse(PARENT.as_bytes()).unwrap();
        assert_eq!((context.trace[0], context.span[7], context.flags), (0x0a, 0x31, 1));
        assert_eq!(Context::parse(format!("cc{}-more", &PARENT[2..]).as_bytes()), Some(context));
        for wrong in [
            "",
            "00",
            &PARENT[..54],
            &PARENT.to_uppercase(),
            &format!("{PARENT}-more"),
            &format!("ff{}", &PARENT[2..]),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        ] {
            assert_eq!(Context::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let event = format!(r#"{{"id":"1","data":{{"traceparent":"x"}},"traceparent":"{PARENT}"}}"#);
        assert_eq!(Context::of_event(&event), Some(context));
        assert_eq!(Context::of_event(r#"{"data":{"traceparent":"x"}}"#), None);
    }

    #[test]
    fn a_share_of_all_traces_is_taken() {
        let taken = |share: f64| (0..1_000).filter(|_| Context::below(None).is_among(share)).count();
        assert_eq!((taken(0.0), taken(1.0)), (0, 1_000));
        assert!((100..400).contains(&taken(0.25)));
        let parent = Context::parse(PARENT.as_bytes()).unwrap();
        let below = Context::below(Some(&parent));
        assert!(below.trace == parent.trace && below.span != parent.span && below.is_sampled());
    }
}
