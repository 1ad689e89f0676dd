use crate::envelope::scan::{Fault, FaultKind, MAX_DEPTH};
use crate::id::TenantId;

/// The reason why an event was not taken. The text names the error and its place; columns count bytes from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The text is not one JSON object.
    #[error("not a JSON object: expected {expected} at column {column}")]
    NotJson {
        /// The token expected there.
        expected: &'static str,
        /// Byte position in the event, from 1.
        column: usize,
    },
    /// The text is not one JSON array.
    #[error("not a JSON array: expected {expected} at column {column}")]
    NotArray {
        /// The token expected there.
        expected: &'static str,
        /// Byte position in the text, from 1.
        column: usize,
    },
    /// The text is an array.
    #[error("an array, where one event is expected: write the events one by one, without `[`, `,` and `]` around them")]
    Array,
    /// Arrays and objects are nested too deeply.
    #[error("nested deeper than {MAX_DEPTH} levels at column {column}")]
    TooDeep {
        /// Byte position in the event, from 1.
        column: usize,
    },
    /// The text is not UTF-8.
    #[error("not UTF-8: byte 0x{byte:02x} at column {column}")]
    NotUtf8 {
        /// The first byte that does not fit.
        byte: u8,
        /// Byte position in the event, from 1.
        column: usize,
    },
    /// The text begins with a byte order mark.
    #[error("begins with a byte order mark: save the text as UTF-8 without one")]
    ByteOrderMark,
    /// The event is larger than the limit.
    #[error("{bytes} bytes long, more than the limit of {limit}: raise `max_bytes` of events, or split the event")]
    TooLarge {
        /// Length of the event.
        bytes: usize,
        /// Longest event that is taken.
        limit: usize,
    },
    /// A required attribute that can't be filled in is missing.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// A top-level member stands twice.
    #[error("member `{0}` stands twice")]
    Duplicate(String),
    /// A top-level name is neither a CloudEvents attribute nor a legal extension name.
    #[error(
        "`{0}` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`"
    )]
    IllegalName(String),
    /// An attribute has a value of the wrong type or form.
    #[error("attribute `{name}` must be {expected}")]
    Illegal {
        /// The attribute.
        name: String,
        /// The type or form that it must have.
        expected: &'static str,
    },
    /// `data` and `data_base64` are both present.
    #[error("both `data` and `data_base64` are present: an event has one of them")]
    DataTwice,
    /// The type is reserved, and the builder [refuses](crate::SliceBuilder::refuse_reserved) those.
    #[error("type `{0}`: types that begin with `hooks.` are the dispatcher's own")]
    Reserved(String),
    /// The event is another tenant's than the [builder](crate::SliceBuilder::tenant) takes.
    #[error(
        "attribute `tenant` is {found}, and only events of tenant `{tenant}` are taken: leave it out or set it to that"
    )]
    OtherTenant {
        /// The value, as JSON.
        found: String,
        /// The tenant whose events are taken.
        tenant: TenantId,
    },
    /// The slice holds more than 2 GiB.
    #[error("the slice that this event should join holds more than 2 GiB: publish smaller slices")]
    SliceFull,
    /// The application's event could not be encoded.
    #[error("data could not be encoded as JSON")]
    Encode(#[source] crate::EncodeError),
}

impl From<Fault> for EnvelopeError {
    fn from(fault: Fault) -> Self {
        let column = fault.at + 1;
        match fault.kind {
            FaultKind::Expected(expected) => Self::NotJson { expected, column },
            FaultKind::TooDeep => Self::TooDeep { column },
        }
    }
}
