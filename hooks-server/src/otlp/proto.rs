//! Writes protobuf messages (protobuf.dev, "Encoding"), as far as OTLP takes it.

/// A message that is written.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    /// A message that is made so.
    pub(crate) fn of(write: impl FnOnce(&mut Self)) -> Self {
        let mut message = Self::default();
        write(&mut message);
        message
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    /// An `int32`, `int64`, `uint32`, `bool` or enum that is not negative.
    pub(crate) fn number(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// `bytes`, a `string`, or a message that is written already.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.bytes(field, &Self::of(write).0);
    }

    /// Numbers of eight bytes each, packed.
    pub(crate) fn packed(&mut self, field: u32, values: impl Iterator<Item = u64>) {
        let bytes: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
        self.bytes(field, &bytes);
    }

    /// Appends messages that are written already, each with its field.
    pub(crate) fn append(&mut self, written: &[u8]) {
        self.0.extend_from_slice(written);
    }

    /// A `KeyValue` of OTLP.
    pub(crate) fn attribute(&mut self, field: u32, key: &str, value: Value<'_>) {
        self.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| match value {
                Value::Text(text) => any.text(1, text),
                Value::Number(number) => any.number(3, number),
                Value::Real(real) => any.double(4, real),
            });
        });
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Real(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of protobuf.dev, "Encoding".
    #[test]
    fn messages_are_as_documented() {
        let of = |write: fn(&mut Message)| Message::of(write).into_bytes();
        assert_eq!(of(|message| message.number(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(of(|message| message.text(2, "testing")), *b"\x12\x07testing");
        assert_eq!(of(|message| message.message(3, |inner| inner.number(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(of(|message| message.fixed64(1, 1)), [0x09, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of(|message| message.fixed32(16, 1)), [0x85, 0x01, 1, 0, 0, 0]);
    }
}
