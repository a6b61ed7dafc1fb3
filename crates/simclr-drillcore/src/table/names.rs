//! Names of sections and photographs.

use std::collections::BTreeMap;
use std::path::Path;

use simclr_files::normalized_name;

/// What the names of photographs may end with.
const EXTENSIONS: [&str; 17] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "tif", "tiff", "bmp", "dib", "webp", "gif", "jp2", "j2k",
    "j2c", "jpc", "jpf", "jpx",
];
/// So many names are listed in a message.
const LISTED: usize = 5;

/// A path's last part.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// A photograph's name without folders and without its extension. What stands after the point of a
/// number, as in `BH12_10.5`, is no extension.
pub(crate) fn stem(path: &str) -> &str {
    let name = file_name(path);
    let is_image = |extension: &str| {
        let mut known = EXTENSIONS.iter();
        known.any(|other| other.eq_ignore_ascii_case(extension))
    };
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && is_image(extension) => stem,
        _ => name,
    }
}

/// Whether a photograph's name begins with a section's, up to the end of a word. Both are normalized.
fn is_named_after(name: &str, section: &str) -> bool {
    let begins = name
        .get(..section.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(section));
    let next = name
        .get(section.len()..)
        .and_then(|rest| rest.chars().next());
    begins && !next.is_some_and(char::is_alphanumeric)
}

/// The section that a photograph is named after: the one with the longest name that fits, so that
/// `BH1-2_dry` is of `BH1-2` and not of `BH1`.
pub(crate) fn section_of<T>(
    photograph: &str,
    sections: impl Iterator<Item = T>,
    name: impl Fn(&T) -> &str,
) -> Option<T> {
    let photograph = normalized_name(photograph);
    sections
        .filter(|section| is_named_after(&photograph, &normalized_name(name(section))))
        .max_by_key(|section| normalized_name(name(section)).len())
}

/// Writes names of holes and sections that are one, in whatever case and Unicode form, as the first of
/// them is written: photographs are found so.
#[derive(Default)]
pub(super) struct PlaceNames {
    first: BTreeMap<String, String>,
}

impl PlaceNames {
    pub(super) fn of(&mut self, name: &str) -> String {
        let key = normalized_name(name).to_ascii_lowercase();
        let first = self.first.entry(key).or_insert_with(|| name.to_owned());
        first.clone()
    }
}

/// A section's name without IODP's half behind its number, `-A` or `-W`: both halves show the same rock.
fn without_half(section: &str) -> &str {
    let is_number = |part: &str| part == "CC" || part.parse::<u32>().is_ok();
    match section.rsplit_once('-') {
        Some((rest, "A" | "W")) if rest.rsplit('-').next().is_some_and(is_number) => rest,
        _ => section,
    }
}

/// What is unusual about photographs if some are named after one section, as two that show parts of it
/// are: they have the same of its row, such as its depths. So do both halves of a section, also where
/// each has a row.
pub(super) fn shared<'n>(
    path: &Path,
    what: &str,
    photographs: impl Iterator<Item = &'n String>,
    section: impl Fn(&str) -> Option<&'n str>,
) -> Option<String> {
    let mut named: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for photograph in photographs {
        if let Some(section) = section(photograph) {
            named
                .entry(without_half(section))
                .or_default()
                .push(photograph);
        }
    }
    named.retain(|_, photographs| photographs.len() > 1);
    if named.is_empty() {
        return None;
    }
    let group = |(section, photographs)| format!("{} ({section})", few::<&String>(photographs));
    let (path, groups) = (path.display(), few(named.into_iter().map(group)));
    Some(format!(
        "{path}: several photographs have the {what} of one section, as if they showed the same part \
         of the core: {groups}"
    ))
}

/// Whether two names of holes are one, in whatever case and Unicode form.
pub(super) fn is_same_hole(one: &str, other: &str) -> bool {
    normalized_name(one).eq_ignore_ascii_case(&normalized_name(other))
}

/// The first names, and how many there are beside them.
pub(crate) fn few<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<S> = names.into_iter().collect();
    let first: Vec<&str> = names.iter().take(LISTED).map(AsRef::as_ref).collect();
    match names.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
