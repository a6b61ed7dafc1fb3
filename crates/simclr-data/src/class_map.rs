//! Other classes for the same images: one against the rest, or groups of classes.

use std::path::Path;

use simclr_files::FirstSpellings;

use crate::dataset::IntoDataset;
use crate::error::{Error, Result};
use crate::mapped::{Mapped, ResolvedClasses};

/// Which classes become which.
///
/// ```
/// use simclr_data::ClassMap;
///
/// let classes = ["brecciated", "crack", "none", "soupy"].map(String::from);
/// let binary = ClassMap::binary("none").resolve(&classes)?;
/// assert_eq!(binary.names, ["none", "other"]);
/// assert_eq!(binary.labels, [1, 1, 0, 1]);
///
/// let grouped = ClassMap::parse("broken: crack, brecciated")?.resolve(&classes)?;
/// assert_eq!(grouped.names, ["broken", "none", "soupy"]);
/// assert_eq!(grouped.labels, [0, 0, 1, 2]);
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassMap {
    /// One class (label 0) against all the others together (label 1, `other`).
    Binary(String),
    /// Groups of classes with a new name each. A class of no group stays as it is.
    Groups(Vec<(String, Vec<String>)>),
}

impl ClassMap {
    /// `class` against all the others; the paper's binary task is `binary("none")`.
    pub fn binary(class: impl Into<String>) -> Self {
        Self::Binary(class.into())
    }

    /// Groups of classes, each with its new name.
    pub fn groups<N, C, I>(groups: I) -> Self
    where
        N: Into<String>,
        C: IntoIterator<Item: Into<String>>,
        I: IntoIterator<Item = (N, C)>,
    {
        let owned = |(name, members): (N, C)| {
            let members = members.into_iter().map(Into::into).collect();
            (name.into(), members)
        };
        Self::Groups(groups.into_iter().map(owned).collect())
    }

    /// The paper's regrouped task: crack, fractured and brecciated are one class,
    /// fall-in, flow-in and suck-in another.
    pub fn paper_regrouped() -> Self {
        Self::groups([
            (
                "crack-fractured-brecciated",
                ["crack", "fractured", "brecciated"],
            ),
            ("fall-in-flow-in-suck-in", ["fall-in", "flow-in", "suck-in"]),
        ])
    }

    /// Reads groups from a file, in every encoding that tables may have; see [`ClassMap::parse`].
    ///
    /// # Errors
    /// If the file cannot be read or is not such a text. The message names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |reason: String| Error::ClassMap(format!("{}: {reason}", path.display()));
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let text = simclr_csv::decode(bytes).map_err(|error| named(error.to_string()))?;
        Self::parse(&text).map_err(|error| match error {
            Error::ClassMap(reason) => named(reason),
            other => other,
        })
    }

    /// Reads groups from a text: a JSON object (`{"broken": ["crack", "brecciated"]}`)
    /// or lines of the form `broken: crack, brecciated`. Empty lines and lines that
    /// begin with `#` are passed over, and so is a byte-order mark.
    ///
    /// # Errors
    /// If the text has neither form, or holds no group.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let groups = if text.trim_start().starts_with('{') {
            parse_json(text)?
        } else {
            parse_lines(text)?
        };
        if groups.is_empty() {
            return Err(Error::ClassMap("there is no group in it".into()));
        }
        Ok(Self::Groups(groups))
    }

    /// The new names and labels for given classes. New classes stand in the order
    /// in which their first member stands among the old; the binary map's order is
    /// the class, then `other`.
    ///
    /// # Errors
    /// If a class of the map does not exist, stands in two groups, or if only one
    /// class would be left by a binary map.
    pub fn resolve(&self, classes: &[String]) -> Result<ResolvedClasses> {
        match self.spelled_as(classes) {
            Self::Binary(class) => resolve_binary(&class, classes),
            Self::Groups(groups) => resolve_groups(&groups, classes),
        }
    }

    /// The map with the names of classes as these have them: a class folder's name may have another
    /// Unicode form than the map's.
    fn spelled_as(&self, classes: &[String]) -> Self {
        let mut spellings = FirstSpellings::default();
        for class in classes {
            spellings.of(class);
        }
        match self {
            Self::Binary(class) => Self::Binary(spellings.of(class)),
            Self::Groups(groups) => Self::groups(groups.iter().map(|(name, members)| {
                let members = members.iter().map(|member| spellings.of(member));
                let members: Vec<String> = members.collect();
                (spellings.of(name), members)
            })),
        }
    }

    /// The images of `dataset` with the new classes.
    ///
    /// # Errors
    /// As [`ClassMap::resolve`].
    pub fn apply(&self, dataset: impl IntoDataset) -> Result<Mapped> {
        let dataset = dataset.into_dataset();
        let resolved = self.resolve(dataset.class_names())?;
        Ok(Mapped::new(dataset, resolved))
    }
}

fn parse_json(text: &str) -> Result<Vec<(String, Vec<String>)>> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| Error::ClassMap(error.to_string()))?;
    let group = |(name, members): (String, serde_json::Value)| {
        let members = serde_json::from_value(members)
            .map_err(|_| Error::ClassMap(format!("'{name}' must be a list of class names")))?;
        Ok((name, members))
    };
    object.into_iter().map(group).collect()
}

fn parse_lines(text: &str) -> Result<Vec<(String, Vec<String>)>> {
    let lines = text.lines().map(str::trim);
    let meant = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let group = |line: &str| {
        let wrong = || Error::ClassMap(format!("'{line}' is not of the form 'name: class, class'"));
        let (name, members) = line.split_once(':').ok_or_else(wrong)?;
        let members: Vec<String> = members.split(',').map(|m| m.trim().to_owned()).collect();
        if name.trim().is_empty() || members.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok((name.trim().to_owned(), members))
    };
    meant.map(group).collect()
}

fn check_exists(class: &str, classes: &[String]) -> Result<()> {
    if classes.iter().any(|known| known == class) {
        return Ok(());
    }
    let known = classes.join(", ");
    let reason = format!("there is no class '{class}'; the classes are: {known}");
    Err(Error::ClassMap(reason))
}

fn resolve_binary(class: &str, classes: &[String]) -> Result<ResolvedClasses> {
    check_exists(class, classes)?;
    if classes.len() < 2 {
        let reason = format!("'{class}' is the only class, so there is nothing to tell it from");
        return Err(Error::ClassMap(reason));
    }
    // A class may itself be called `other`.
    let rest = if class == "other" { "rest" } else { "other" };
    Ok(ResolvedClasses {
        names: vec![class.to_owned(), rest.to_owned()],
        labels: classes.iter().map(|name| (name != class).into()).collect(),
    })
}

fn resolve_groups(groups: &[(String, Vec<String>)], classes: &[String]) -> Result<ResolvedClasses> {
    let mut members_seen: Vec<&String> = Vec::new();
    for member in groups.iter().flat_map(|(_, members)| members) {
        check_exists(member, classes)?;
        if members_seen.contains(&member) {
            let reason = format!("'{member}' stands in the map twice");
            return Err(Error::ClassMap(reason));
        }
        members_seen.push(member);
    }
    let mut resolved = ResolvedClasses {
        names: Vec::new(),
        labels: Vec::new(),
    };
    for class in classes {
        let group = groups.iter().find(|(_, members)| members.contains(class));
        let new_name = group.map_or(class, |(name, _)| name);
        let known = resolved.names.iter().position(|name| name == new_name);
        let label = known.unwrap_or(resolved.names.len());
        if known.is_none() {
            resolved.names.push(new_name.clone());
        }
        // Labels count classes, of which there are far fewer than 2^32.
        resolved.labels.push(label as u32);
    }
    Ok(resolved)
}
