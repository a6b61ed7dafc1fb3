//! How stored tensors match a model's parameters.

use std::fmt;

/// How a set of tensors matches a set of parameters; each list is sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// In both, with the same shape.
    pub matched: Vec<String>,
    /// Parameters without a tensor.
    pub missing: Vec<String>,
    /// Tensors without a parameter.
    pub unexpected: Vec<String>,
    /// In both, but of different shapes.
    pub different_shape: Vec<ShapeDifference>,
}

/// A parameter and a tensor of the same name and of different shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeDifference {
    /// The common name.
    pub name: String,
    /// The parameter's shape.
    pub expected: Vec<usize>,
    /// The tensor's shape.
    pub found: Vec<usize>,
}

impl LoadReport {
    /// Whether everything matched and nothing was left over.
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.different_shape.is_empty()
    }

    pub(crate) fn sort(&mut self) {
        self.matched.sort_unstable();
        self.unexpected.sort_unstable();
        self.different_shape
            .sort_unstable_by(|a, b| a.name.cmp(&b.name));
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} matched", self.matched.len())?;
        for (what, names) in [("missing", &self.missing), ("unexpected", &self.unexpected)] {
            if !names.is_empty() {
                write!(f, ", {} {what} ({})", names.len(), abbreviated(names))?;
            }
        }
        if let Some(first) = self.different_shape.first() {
            write!(
                f,
                ", {} of another shape ({}: expected {:?}, found {:?}{})",
                self.different_shape.len(),
                first.name,
                first.expected,
                first.found,
                if self.different_shape.len() > 1 {
                    ", ..."
                } else {
                    ""
                },
            )?;
        }
        Ok(())
    }
}

fn abbreviated(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}
