//! One way to set what can be chosen (`CONTRIBUTING.md`, "Builders").

/// Gives a `#[non_exhaustive]` struct of values a setter for each field, of the field's name. What
/// a setter takes is written beside it: the field's type, or what becomes it.
#[doc(hidden)]
#[macro_export]
macro_rules! setters {
    ($name:ident { $($field:ident: $from:ty),+ $(,)? }) => {
        impl $name {
            $(
                #[doc = concat!("The same with this [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $from) -> Self {
                    self.$field = $field.into();
                    self
                }
            )+
        }
    };
}
