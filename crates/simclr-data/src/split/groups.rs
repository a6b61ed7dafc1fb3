use std::collections::BTreeMap;

use petgraph::unionfind::UnionFind;
use regex::Regex;
use serde::{Deserialize, Serialize};
use simclr_files::normalized_name;

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// Groups of images that a split must keep together: photographs of the same
/// core, of the same well, or of the same spot.
///
/// Neighbouring photographs of one core look alike. If some are in the training set and
/// others in the test set, the test measures memorisation; with groups it measures
/// generalisation to cores that were never seen.
///
/// ```
/// # use simclr_augment::DecodedImage;
/// # use simclr_data::{Dataset, Result};
/// # #[derive(Clone)]
/// # struct Names(Vec<String>);
/// # impl Dataset for Names {
/// #     fn len(&self) -> usize { self.0.len() }
/// #     fn class_names(&self) -> &[String] { &[] }
/// #     fn label(&self, _: usize) -> Option<u32> { None }
/// #     fn name(&self, index: usize) -> String { self.0[index].clone() }
/// #     fn decode(&self, _: usize) -> Result<DecodedImage> { Ok(DecodedImage::new(1, 1, vec![0; 3])?) }
/// # }
/// # let cores = Names(["crack/U1539A-1.jpg", "none/U1539A-2.jpg", "none/U1541B-1.jpg"].map(String::from).to_vec());
/// use simclr_data::Groups;
///
/// // The well is what stands before the first hyphen.
/// let groups = Groups::by_pattern(&cores, r"^([^-]+)-")?;
/// assert_eq!(groups.count(), 2);
/// assert_eq!(groups.members(), [vec![0, 1], vec![2]]);
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// The group of each image, numbered by first appearance.
    of: Vec<usize>,
    count: usize,
}

impl Groups {
    /// Images whose file names agree in what the pattern captures; without capture
    /// groups, in what the whole pattern matches.
    ///
    /// The pattern sees the file's name without its folders, so that a core whose
    /// images lie in several class folders is still one group. Pattern and name may have different
    /// Unicode forms.
    ///
    /// # Errors
    /// If the pattern is not a regular expression, or does not match the name of
    /// every image.
    pub fn by_pattern(dataset: &dyn Dataset, pattern: &str) -> Result<Self> {
        let regex = Regex::new(&normalized_name(pattern)).map_err(|error| Error::Pattern {
            pattern: pattern.to_owned(),
            reason: format!("is not a regular expression: {error}"),
        })?;
        let key = |index| {
            let name = dataset.name(index);
            let file = name.rsplit('/').next().unwrap_or(&name);
            key_of(&regex, &normalized_name(file)).ok_or_else(|| Error::Pattern {
                pattern: pattern.to_owned(),
                reason: format!(
                    "does not match the file name of '{name}', so its group is not known"
                ),
            })
        };
        let keys = (0..dataset.len()).map(key).collect::<Result<Vec<_>>>()?;
        Ok(Self::by_key(keys))
    }

    /// Images with equal keys, given one key per image.
    pub fn by_key<K: Ord>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut known = BTreeMap::new();
        let number = |key| {
            let next = known.len();
            *known.entry(key).or_insert(next)
        };
        let of: Vec<usize> = keys.into_iter().map(number).collect();
        Self {
            count: known.len(),
            of,
        }
    }

    /// Both kinds of groups at once: images that are together in either are together,
    /// and so are those that are connected by way of others.
    ///
    /// # Errors
    /// If the two are about different numbers of images.
    pub fn joined(&self, other: &Self) -> Result<Self> {
        if self.len() != other.len() {
            let name = "the number of images in groups to be joined";
            return Err(Error::setting(name, self.len().to_string(), other.len()));
        }
        let mut sets = UnionFind::new(self.len());
        for members in self.members().iter().chain(&other.members()) {
            for pair in members.windows(2) {
                sets.union(pair[0], pair[1]);
            }
        }
        Ok(Self::by_key(sets.into_labeling()))
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The group of an image, a number below [`count`](Self::count).
    pub fn group_of(&self, image: usize) -> Option<usize> {
        self.of.get(image).copied()
    }

    /// The images of each group.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.count];
        for (image, &group) in self.of.iter().enumerate() {
            if let Some(members) = members.get_mut(group) {
                members.push(image);
            }
        }
        members
    }
}

/// What the capture groups hold, or the whole match if there are none.
fn key_of(regex: &Regex, name: &str) -> Option<Vec<Option<String>>> {
    let captures = regex.captures(name)?;
    let skip = usize::from(captures.len() > 1);
    let text = |part: Option<regex::Match<'_>>| part.map(|part| part.as_str().to_owned());
    Some(captures.iter().skip(skip).map(text).collect())
}
