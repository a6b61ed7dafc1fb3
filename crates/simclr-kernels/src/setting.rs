//! Choices that hold for the whole process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// A choice between named values: what was chosen by a call, else what an environment
/// variable names, else the first one.
pub(crate) struct Setting<T: 'static> {
    variable: &'static str,
    values: &'static [(&'static str, T)],
    /// 0 for nothing, else one more than the index of the value.
    chosen: AtomicUsize,
    /// What the environment names; a name that is none as the error.
    named: OnceLock<Result<T, String>>,
}

impl<T: Copy + PartialEq> Setting<T> {
    pub(crate) const fn new(variable: &'static str, values: &'static [(&'static str, T)]) -> Self {
        Self {
            variable,
            values,
            chosen: AtomicUsize::new(0),
            named: OnceLock::new(),
        }
    }

    /// The value in force.
    ///
    /// # Errors
    /// [`Error::Setting`] if nothing was chosen and the environment names no value.
    pub(crate) fn current(&self) -> Result<T> {
        let chosen = self.chosen.load(Ordering::Relaxed);
        if let Some((_, value)) = chosen
            .checked_sub(1)
            .and_then(|index| self.values.get(index))
        {
            return Ok(*value);
        }
        let named = self
            .named
            .get_or_init(|| match std::env::var(self.variable) {
                Err(_) => Ok(self.values[0].1),
                Ok(name) => self.find(&name).ok_or(name),
            });
        named.clone().map_err(|name| self.error(&name))
    }

    /// Chooses a value, or goes back to the default.
    pub(crate) fn choose(&self, value: Option<T>) {
        let index = self
            .values
            .iter()
            .position(|(_, known)| Some(*known) == value);
        let code = index.map_or(0, |index| index + 1);
        self.chosen.store(code, Ordering::Relaxed);
    }

    /// The name of a value.
    pub(crate) fn name(&self, value: T) -> &'static str {
        let found = self.values.iter().find(|(_, known)| *known == value);
        found.map_or("", |(name, _)| name)
    }

    fn find(&self, name: &str) -> Option<T> {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// That `actual` is not one of the values.
    fn error(&self, actual: &str) -> Error {
        let names: Vec<&str> = self.values.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        Error::setting(self.variable, expected, actual)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_choice_goes_before_the_default() {
        let setting = Setting::new("SIMCLR_NO_SUCH_VARIABLE", &[("one", 1), ("two", 2)]);
        assert_eq!(setting.current().unwrap(), 1);
        setting.choose(Some(2));
        assert_eq!(setting.current().unwrap(), 2);
        assert_eq!(setting.name(2), "two");
        setting.choose(None);
        assert_eq!(setting.current().unwrap(), 1);
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let setting = Setting::new("SIMCLR_NO_SUCH_VARIABLE", &[("one", 1), ("two", 2)]);
        setting
            .named
            .set(setting.find("three").ok_or("three".to_owned()))
            .unwrap();
        let error = setting.current().unwrap_err().to_string();
        assert!(
            error.contains("one, two") && error.contains("three"),
            "{error}"
        );
    }
}
