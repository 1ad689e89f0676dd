//! Metrics as OTLP has them (opentelemetry-proto 1.x, `metrics.proto`): counts since the process began.

use std::time::SystemTime;

use bytes::Bytes;
use hooks_core::Histogram;

use super::proto::{Message, Value};
use super::spans::nanos;
use crate::metrics::{Kind, Labels, Number};

/// About as many bytes are a piece, which is sent by itself. Collectors take 20 MiB and less.
const PIECE: usize = 1 << 20;

/// Counted from the beginning.
const CUMULATIVE: u64 = 2;

/// The `metrics` of a `ScopeMetrics`, family by family, in pieces.
#[derive(Debug)]
pub(crate) struct Points {
    pieces: Vec<Bytes>,
    piece: Message,
    family: (&'static str, String, Kind),
    points: Message,
    /// The time since which is counted, and now.
    times: (u64, u64),
}

impl Points {
    /// What was counted since this time.
    pub(crate) fn since(began: SystemTime) -> Self {
        Self {
            pieces: Vec::new(),
            piece: Message::default(),
            family: ("", String::new(), Kind::Gauge),
            points: Message::default(),
            times: (nanos(began), nanos(SystemTime::now())),
        }
    }

    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.end_family();
        self.family = (name, help.to_owned(), kind);
    }

    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: Number) {
        let (began, now) = self.times;
        self.points.message(1, |point| {
            point.fixed64(2, began);
            point.fixed64(3, now);
            match value {
                Number::Whole(value) => point.fixed64(6, value),
                Number::Real(value) => point.double(4, value),
            }
            labels.iter().for_each(|(key, value)| point.attribute(7, key, Value::Text(value)));
        });
        self.end_point();
    }

    pub(crate) fn distribution(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let (began, now) = self.times;
        self.points.message(1, |point| {
            point.fixed64(2, began);
            point.fixed64(3, now);
            point.fixed64(4, histogram.count());
            point.double(5, histogram.sum());
            let mut before = 0;
            let counts = histogram.cumulative().map(|(_, count)| count - std::mem::replace(&mut before, count));
            point.packed(6, counts);
            let bounds = histogram.cumulative().map(|(bound, _)| bound).filter(|bound| bound.is_finite());
            point.packed(7, bounds.map(f64::to_bits));
            labels.iter().for_each(|(key, value)| point.attribute(9, key, Value::Text(value)));
        });
        self.end_point();
    }

    fn end_point(&mut self) {
        if self.points.len() >= PIECE {
            self.end_family();
        }
    }

    fn end_family(&mut self) {
        let points = std::mem::take(&mut self.points);
        if points.len() == 0 {
            return;
        }
        let (name, help, kind) = &self.family;
        self.piece.message(2, |metric| {
            metric.text(1, name);
            metric.text(2, help);
            let (field, is_sum) = match kind {
                Kind::Gauge => (5, false),
                Kind::Counter => (7, true),
                Kind::Histogram => (9, false),
            };
            metric.message(field, |data| {
                data.append(&points.into_bytes());
                if *kind != Kind::Gauge {
                    data.number(2, CUMULATIVE);
                }
                if is_sum {
                    data.number(3, 1);
                }
            });
        });
        if self.piece.len() >= PIECE {
            self.pieces.push(std::mem::take(&mut self.piece).into_bytes().into());
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.end_family();
        if self.piece.len() > 0 {
            self.pieces.push(self.piece.into_bytes().into());
        }
        self.pieces
    }
}
