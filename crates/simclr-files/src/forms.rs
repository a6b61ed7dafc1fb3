//! Unicode's two forms of a name.
//!
//! An accented letter is one character, or a letter and an accent. macOS writes names of files in the
//! second form (NFD), most other programs write the first one (NFC), and both look the same.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfd};

/// A name as it is compared with others: in Unicode's normal form C.
///
/// ```
/// use simclr_files::normalized_name;
///
/// assert_ne!("K\u{f6}ln.jpg", "Ko\u{308}ln.jpg");
/// assert_eq!(normalized_name("K\u{f6}ln.jpg"), normalized_name("Ko\u{308}ln.jpg"));
/// ```
pub fn normalized_name(name: &str) -> Cow<'_, str> {
    if is_nfc(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.nfc().collect())
    }
}

/// Says of two names that they are one in two forms. It names the forms, for the names look the same.
pub fn describe_forms(first: &str, second: &str) -> String {
    let (one, other) = (form(first), form(second));
    format!(
        "{first} ({one}) and {second} ({other}) differ only in the Unicode form of their letters"
    )
}

fn form(name: &str) -> &'static str {
    match (is_nfc(name), is_nfd(name)) {
        (true, _) => "composed, NFC",
        (false, true) => "decomposed, NFD",
        (false, false) => "neither NFC nor NFD",
    }
}

/// Whether these are the same names in the same order, whatever their Unicode form.
pub fn same_names(one: &[String], other: &[String]) -> bool {
    let normalized = |name: &String| normalized_name(name).into_owned();
    one.iter().map(normalized).eq(other.iter().map(normalized))
}
