//! Builder methods of configurations.

/// Methods that take the configuration and give it back with one field set.
macro_rules! setters {
    ($($method:ident($field:ident: $type:ty);)*) => {$(
        #[doc = concat!("Sets `", stringify!($field), "`.")]
        pub fn $method(self, $field: $type) -> Self {
            Self { $field, ..self }
        }
    )*};
}

pub(crate) use setters;
