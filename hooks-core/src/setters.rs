//! Setters of options, named after their fields.

/// Gives a type a setter for each of these fields: `field: T`, or `field: T => convert`.
macro_rules! setters {
    ($type:ident { $($field:ident: $value:ty $(=> $convert:path)?),* $(,)? }) => {
        impl $type {
            $(
                #[doc = concat!("With this [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $value) -> Self {
                    self.$field = $($convert)?($field);
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
