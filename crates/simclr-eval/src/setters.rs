/// Methods that take the configuration and give it back with one field set.
macro_rules! setters {
    ($($method:ident($field:ident: $type:ty);)*) => {$(
        #[doc = concat!("Sets [`Self::", stringify!($field), "`].")]
        pub fn $method(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

pub(crate) use setters;
