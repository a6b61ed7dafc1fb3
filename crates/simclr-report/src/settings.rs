//! A configuration as a table.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::table::Table;

impl Table {
    /// The fields of a configuration, one row each: its path and its value. Lists of plain values
    /// take one row.
    ///
    /// # Errors
    /// [`Error::Report`] if the configuration cannot be serialised.
    pub fn settings(
        name: impl Into<String>,
        caption: impl Into<String>,
        settings: &impl Serialize,
    ) -> Result<Self> {
        let table = Self::new(name, caption).columns(["setting", "value"]);
        let settings = serde_json::to_value(settings).map_err(|error| Error::Report {
            block: format!("table `{}`", table.name()),
            reason: error.to_string(),
        })?;
        let mut rows = Vec::new();
        collect(String::new(), &settings, &mut rows);
        Ok(rows.into_iter().fold(table, |table, (path, value)| {
            table.row([path.into(), value.into()])
        }))
    }
}

fn collect(path: String, value: &Value, rows: &mut Vec<(String, String)>) {
    let below = |key: &str| match path.as_str() {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                collect(below(key), value, rows);
            }
        }
        Value::Array(items) if items.iter().any(is_nested) => {
            for (index, item) in items.iter().enumerate() {
                collect(below(&index.to_string()), item, rows);
            }
        }
        leaf => rows.push((path, show(leaf))),
    }
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn show(leaf: &Value) -> String {
    match leaf {
        Value::Null => "none".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Value::Object(_) => "none".into(),
        Value::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_has_a_row_in_its_order() {
        let settings = json!({
            "seed": 1,
            "policy": {"size": 64, "blur": null, "flip": true},
            "exclude": ["bias", "gamma"],
            "stages": [{"epochs": 2}, {"epochs": 3}],
        });
        let mut csv = Vec::new();
        let table = Table::settings("settings", "", &settings).unwrap();
        table.write_csv(&mut csv).unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "setting,value\nseed,1\npolicy.size,64\npolicy.blur,none\npolicy.flip,yes\n\
             exclude,\"bias, gamma\"\nstages.0.epochs,2\nstages.1.epochs,3\n"
        );
    }
}
