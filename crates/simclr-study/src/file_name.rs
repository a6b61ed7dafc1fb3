//! File names made of the names of methods.

use sha2::{Digest, Sha256};

/// Longer names are cut, so that what is put around them still fits into a file name.
const LONGEST: usize = 80;

/// A name for files: lower case, with a dash for everything that is not an ASCII letter or
/// digit. If that loses letters (of other alphabets, or at the end of a long name), a digest
/// of the name follows, so that different names stay different. Empty if the name has neither
/// letter nor digit.
pub(crate) fn file_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut file_name = words.join("-");
    let is_lost = |c: char| c.is_alphanumeric() && !c.is_ascii();
    if name.contains(is_lost) || file_name.len() > LONGEST {
        file_name.truncate(LONGEST);
        let digest = hex::encode(Sha256::digest(name));
        let separator = if file_name.is_empty() { "" } else { "-" };
        file_name = format!("{file_name}{separator}{}", &digest[..8]);
    }
    file_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_file_names_that_stay_different() {
        assert_eq!(file_name("A: b (c)"), "a-b-c");
        assert_eq!(file_name("--- !"), "");
        for (one, other) in [
            ("Größe", "Grüße"),
            ("预训练", "未训练"),
            (&*"a".repeat(300), &*"a".repeat(299)),
        ] {
            let (one, other) = (file_name(one), file_name(other));
            assert_ne!(one, other);
            assert!((8..=89).contains(&one.len()), "{one}");
            assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        }
    }
}
