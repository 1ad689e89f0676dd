//! A page of metrics, family by family: in the two text formats that Prometheus reads, or as OTLP has them.
//!
//! Sources: "Exposition formats" of the Prometheus documentation (text 0.0.4), and OpenMetrics 1.0.0.

use std::fmt::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use hooks_core::Histogram;

use crate::field::split;

/// One of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Plain,
    /// OpenMetrics 1.0.0.
    Open,
}

impl Format {
    /// The format that a client accepts, by its `Accept` header. Without a preference: plain.
    pub fn accepted(accept: Option<&str>) -> Self {
        let quality = |wanted: fn(&str) -> bool| {
            let ranges = split(accept.unwrap_or_default(), ',').map(Range::parse);
            ranges.filter(|range| wanted(range.media_type)).map(|range| range.quality).fold(0.0, f32::max)
        };
        let open = quality(|media_type| media_type == "application/openmetrics-text");
        let plain = quality(|media_type| matches!(media_type, "text/plain" | "text/*"));
        if open > 0.0 && open >= plain { Self::Open } else { Self::Plain }
    }

    /// The `Content-Type` of a page in this format.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One entry of an `Accept` header. Which version is asked for is not looked at: both know 1.0.0.
struct Range<'a> {
    media_type: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = split(text, ';');
        let media_type = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok());
        Self { media_type, quality: quality.unwrap_or(1.0) }
    }
}

/// Metrics, family by family.
#[derive(Debug)]
pub(crate) enum Exposition {
    Text(Format, Pieces),
    Otlp(crate::otlp::Points),
}

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The name in the text formats, and what the names of samples end with.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Counter => ("counter", "_total"),
            Self::Gauge => ("gauge", ""),
            Self::Histogram => ("histogram", ""),
        }
    }
}

/// A long text, without ever moving it.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    full: Vec<Bytes>,
    last: String,
}

/// About as many bytes are a piece; a line is never cut.
const PIECE: usize = 64 << 10;

impl Pieces {
    fn end_line(&mut self) {
        self.last.push('\n');
        if self.last.len() >= PIECE {
            let next = String::with_capacity(PIECE + PIECE / 16);
            self.full.push(Bytes::from(std::mem::replace(&mut self.last, next)));
        }
    }
}

/// Names and values that tell the samples of a family apart.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    pub(crate) fn new(format: Format) -> Self {
        Self::Text(format, Pieces::default())
    }

    /// As OTLP: what was counted since this time.
    pub(crate) fn otlp(began: SystemTime) -> Self {
        Self::Otlp(crate::otlp::Points::since(began))
    }

    /// A counter; its name is given without `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    pub(crate) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    pub(crate) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Histogram, help)
    }

    fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        match self {
            Self::Text(format, text) => {
                let (kind, suffix) = kind.name();
                text.head(*format, (name, kind, suffix), help);
                Family::Text { name, suffix, text }
            }
            Self::Otlp(points) => {
                points.family(name, kind, help);
                Family::Otlp(points)
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<Bytes> {
        match self {
            Self::Text(format, mut text) => {
                if format == Format::Open {
                    text.last.push_str("# EOF\n");
                }
                text.full.push(Bytes::from(text.last));
                text.full
            }
            Self::Otlp(points) => points.finish(),
        }
    }
}

/// The samples of one metric.
pub(crate) enum Family<'a> {
    Text { name: &'static str, suffix: &'static str, text: &'a mut Pieces },
    Otlp(&'a mut crate::otlp::Points),
}

impl Family<'_> {
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Into<Number>) {
        match self {
            Self::Text { name, suffix, text } => text.line((name, suffix), labels, None, value.into()),
            Self::Otlp(points) => points.sample(labels, value.into()),
        }
    }

    pub(crate) fn distribution(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        match self {
            Self::Text { name, text, .. } => text.distribution(name, labels, histogram),
            Self::Otlp(points) => points.distribution(labels, histogram),
        }
    }
}

impl Pieces {
    fn head(&mut self, format: Format, (name, kind, suffix): (&str, &str, &str), help: &str) {
        // OpenMetrics names the family, the older format its samples.
        let shown = if format == Format::Open { "" } else { suffix };
        let _ = write!(self.last, "# HELP {name}{shown} ");
        escape(&mut self.last, help, format == Format::Open);
        self.end_line();
        let _ = write!(self.last, "# TYPE {name}{shown} {kind}");
        self.end_line();
    }

    fn distribution(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
            self.line((name, "_bucket"), labels, Some(&bound), Number::Whole(count));
        }
        self.line((name, "_sum"), labels, None, Number::Real(histogram.sum()));
        self.line((name, "_count"), labels, None, Number::Whole(histogram.count()));
    }

    /// Thousands of hooks have dozens of lines each: nothing is made but the line.
    fn line(&mut self, (name, suffix): (&str, &str), labels: Labels<'_>, bound: Option<&str>, value: Number) {
        let text = &mut self.last;
        text.push_str(name);
        text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        for (index, (label, value)) in labels.iter().copied().chain(bound).enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            escape(text, value, true);
            text.push('"');
        }
        text.push_str(if labels.is_empty() && bound.is_none() { " " } else { "} " });
        let _ = match value {
            Number::Whole(value) => write!(text, "{value}"),
            Number::Real(value) => write!(text, "{value:?}"),
        };
        self.end_line();
    }
}

/// A sample's value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

fn escape(into: &mut String, text: &str, quotes: bool) {
    for part in text.split_inclusive(['\\', '\n', '"']) {
        let escape = match part.as_bytes().last() {
            Some(b'\\') => "\\\\",
            Some(b'\n') => "\\n",
            Some(b'"') if quotes => "\\\"",
            _ => {
                into.push_str(part);
                continue;
            }
        };
        into.push_str(&part[..part.len() - 1]);
        into.push_str(escape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Exposition::new(format);
        let mut events = page.counter("events", "How \"many\".");
        events.sample(&[("hook", "a\"\\\n")], 3_u64);
        page.gauge("up", "Is it.").sample(&[], true);
        let mut times = Histogram::new(&[0.5, 1.0]);
        [0.25, 0.5, 6.5].into_iter().for_each(|seconds| times.observe(seconds));
        page.histogram("took_seconds", "How long.").distribution(&[("hook", "a")], &times);
        page.finish().iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn both_formats() {
        assert_eq!(
            page(Format::Plain),
            r#"# HELP events_total How "many".
# TYPE events_total counter
events_total{hook="a\"\\\n"} 3
# HELP up Is it.
# TYPE up gauge
up 1
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{hook="a",le="0.5"} 2
took_seconds_bucket{hook="a",le="1.0"} 2
took_seconds_bucket{hook="a",le="+Inf"} 3
took_seconds_sum{hook="a"} 7.25
took_seconds_count{hook="a"} 3
"#
        );
        let open = page(Format::Open);
        assert!(open.starts_with(
            "# HELP events How \\\"many\\\".\n# TYPE events counter\nevents_total{hook=\"a\\\"\\\\\\n\"} 3\n"
        ));
        assert!(open.ends_with("\n# EOF\n"));
    }

    #[test]
    fn the_format_is_what_the_client_would_rather_have() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;\
                          q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::Open);
        for plain in [
            None,
            Some("*/*"),
            Some("text/plain"),
            Some("text/plain, application/openmetrics-text;q=0.5"),
            Some("application/openmetrics-text;q=0"),
        ] {
            assert_eq!(Format::accepted(plain), Format::Plain, "{plain:?}");
        }
    }
}
