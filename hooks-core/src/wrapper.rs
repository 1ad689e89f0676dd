//! Types around one value.

/// Gives a type around one value `new`, a method that reads it, and `From` both ways.
macro_rules! wrapper {
    ($type:ident($value:ty), $(#[$new:meta])* new, $(#[$read:meta])* $get:ident) => {
        impl $type {
            $(#[$new])*
            pub const fn new(value: $value) -> Self {
                Self(value)
            }

            $(#[$read])*
            pub const fn $get(self) -> $value {
                self.0
            }
        }

        impl From<$value> for $type {
            fn from(value: $value) -> Self {
                Self(value)
            }
        }

        impl From<$type> for $value {
            fn from(wrapped: $type) -> Self {
                wrapped.0
            }
        }
    };
}

pub(crate) use wrapper;
