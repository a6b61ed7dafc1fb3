//! Choices between named values, which environment variables can make.

use std::sync::OnceLock;

use crate::{Error, Result};

/// A choice between named values, and the environment variable that names the default.
pub(crate) struct Setting<T: 'static> {
    name: &'static str,
    variable: &'static str,
    values: &'static [(&'static str, T)],
    /// What the environment names; an unknown name as the error.
    environment: OnceLock<Result<Option<T>, String>>,
}

impl<T: Copy + PartialEq> Setting<T> {
    pub(crate) const fn new(
        name: &'static str,
        variable: &'static str,
        values: &'static [(&'static str, T)],
    ) -> Self {
        Self {
            name,
            variable,
            values,
            environment: OnceLock::new(),
        }
    }

    /// The value that the environment names, if it names one.
    ///
    /// # Errors
    /// [`Error::Setting`] if the name is not that of a value.
    pub(crate) fn environment_value(&self) -> Result<Option<T>> {
        let named = self
            .environment
            .get_or_init(|| match std::env::var(self.variable) {
                Err(_) => Ok(None),
                Ok(name) => self.find(&name).map(Some).ok_or(name),
            });
        named
            .clone()
            .map_err(|found| self.error(self.variable, &found))
    }

    /// The name of a value.
    pub(crate) fn name_of(&self, value: T) -> &'static str {
        let entry = self.values.iter().find(|(_, known)| *known == value);
        entry.map_or("", |(name, _)| name)
    }

    /// The value of a name.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none.
    pub(crate) fn parse(&self, name: &str) -> Result<T> {
        self.find(name).ok_or_else(|| self.error(self.name, name))
    }

    fn find(&self, name: &str) -> Option<T> {
        let entry = self.values.iter().find(|(known, _)| *known == name);
        entry.map(|(_, value)| *value)
    }

    fn error(&self, setting: &'static str, found: &str) -> Error {
        let names: Vec<&str> = self.values.iter().map(|(name, _)| *name).collect();
        Error::setting(setting, format!("one of {}", names.join(", ")), found)
    }
}

/// Implements `Display` and `FromStr` by the names of a [`Setting`].
macro_rules! impl_names {
    ($type:ty, $setting:expr) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($setting.name_of(*self))
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Error;

            fn from_str(name: &str) -> $crate::Result<Self> {
                $setting.parse(name)
            }
        }
    };
}
pub(crate) use impl_names;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let setting = Setting::new(
            "number",
            "SIMCLR_NO_SUCH_VARIABLE",
            &[("one", 1), ("two", 2)],
        );
        assert_eq!(setting.environment_value().unwrap(), None);
        assert_eq!(setting.name_of(2), "two");
        assert_eq!(setting.parse("one").unwrap(), 1);
        let error = setting.parse("three").unwrap_err().to_string();
        assert_eq!(error, "number: expected one of one, two, found `three`");
        let setting = Setting::new("number", "SIMCLR_NO_SUCH_VARIABLE", &[("one", 1)]);
        setting.environment.set(Err("three".to_owned())).unwrap();
        let error = setting.environment_value().unwrap_err().to_string();
        assert_eq!(
            error,
            "SIMCLR_NO_SUCH_VARIABLE: expected one of one, found `three`"
        );
    }
}
