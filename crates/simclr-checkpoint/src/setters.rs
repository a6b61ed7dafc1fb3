//! Setters of options and descriptions.

/// A method for each field, which sets it and gives the value back.
macro_rules! setters {
    ($($method:ident, $field:ident: $type:ty;)*) => { $(
        #[doc = concat!("Sets [`Self::", stringify!($field), "`].")]
        pub fn $method(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )* };
}

pub(crate) use setters;
