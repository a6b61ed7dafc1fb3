use rayon::prelude::*;

use crate::error::{Error, Result, check};

/// Images to choose from.
#[derive(Debug, Clone)]
pub struct Pool {
    /// `[images, size]`, each row of length 1.
    rows: Vec<f32>,
    size: usize,
    labelled: Vec<bool>,
    /// `[images, classes]`, or nothing.
    probabilities: Option<(Vec<f64>, usize)>,
    groups: Option<Vec<usize>>,
}

impl Pool {
    /// Images by their features, `size` numbers each. Distances are those of their directions:
    /// rows are scaled to length 1.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are no whole rows, there are none, or one is not finite.
    pub fn new(features: &[f32], size: usize) -> Result<Self> {
        let subject = "features";
        let is_whole = size > 0 && features.len().is_multiple_of(size) && !features.is_empty();
        let expected = format!("rows of {size} numbers, at least one");
        check(is_whole, subject, expected, features.len())?;
        let bad = features.iter().position(|value| !value.is_finite());
        if let Some(position) = bad {
            return Err(Error::Mismatch {
                subject,
                expected: "finite numbers".into(),
                found: format!("{} of image {}", features[position], position / size),
            });
        }
        let unit = |row: &[f32]| {
            // The squares of very large and of very small numbers are no f32.
            let squares = row.iter().map(|&value| f64::from(value).powi(2));
            let length = squares.sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            let scaled = row.iter().map(|&value| (f64::from(value) / length) as f32);
            scaled.collect::<Vec<_>>()
        };
        Ok(Self {
            rows: features.chunks_exact(size).flat_map(unit).collect(),
            size,
            labelled: vec![false; features.len() / size],
            probabilities: None,
            groups: None,
        })
    }

    /// Says which images have a label already; they are not chosen.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for an index past the end.
    pub fn with_labelled(mut self, labelled: &[usize]) -> Result<Self> {
        let len = self.len();
        for &index in labelled {
            let has_label = self.labelled.get_mut(index);
            *has_label.ok_or_else(|| Error::Mismatch {
                subject: "labelled images",
                expected: format!("indices below {len}"),
                found: index.to_string(),
            })? = true;
        }
        Ok(self)
    }

    /// Gives the probabilities of the classes, `classes` for each image.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if there is another number of them, or one is no probability.
    pub fn with_probabilities(mut self, probabilities: Vec<f64>, classes: usize) -> Result<Self> {
        let expected = self.len().saturating_mul(classes);
        let fits = classes > 0 && probabilities.len() == expected;
        check(fits, "probabilities", expected, probabilities.len())?;
        let wrong = probabilities
            .iter()
            .find(|share| !(0.0..=1.0).contains(*share));
        if let Some(found) = wrong {
            check(false, "probabilities", "numbers between 0 and 1", found)?;
        }
        self.probabilities = Some((probabilities, classes));
        Ok(self)
    }

    /// Gives each image's group, for [`per_group`](crate::SelectionConfig::per_group).
    ///
    /// # Errors
    /// [`Error::Mismatch`] if there is another number of them.
    pub fn with_groups(mut self, groups: Vec<usize>) -> Result<Self> {
        check(
            groups.len() == self.len(),
            "groups",
            self.len(),
            groups.len(),
        )?;
        self.groups = Some(groups);
        Ok(self)
    }

    /// How many images there are, with labels or without.
    pub fn len(&self) -> usize {
        self.labelled.len()
    }

    /// Whether there are none, which no pool is.
    pub fn is_empty(&self) -> bool {
        self.labelled.is_empty()
    }

    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.size..(index + 1) * self.size]
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.rows.chunks_exact(self.size)
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn is_labelled(&self, index: usize) -> bool {
        self.labelled[index]
    }

    pub(crate) fn labelled(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&index| self.labelled[index])
    }

    pub(crate) fn unlabelled(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&index| !self.labelled[index])
    }

    pub(crate) fn group(&self, index: usize) -> Option<usize> {
        self.groups.as_ref().map(|groups| groups[index])
    }

    /// 1 minus the margin between the two most probable classes of each image; nothing without
    /// probabilities.
    pub(crate) fn uncertainties(&self) -> Option<Vec<f64>> {
        let (probabilities, classes) = self.probabilities.as_ref()?;
        let rows = probabilities.chunks_exact(*classes);
        Some(rows.map(|row| 1.0 - margin(row)).collect())
    }

    /// One minus the cosine of the angle between an image and each of all images.
    pub(crate) fn distances(&self, row: &[f32]) -> Vec<f32> {
        let rows = self.rows.par_chunks_exact(self.size);
        rows.map(|other| 1.0 - dot(row, other)).collect()
    }
}

/// The difference between the two largest of some numbers; the largest if it is alone.
fn margin(shares: &[f64]) -> f64 {
    let (mut first, mut second) = (0.0, 0.0);
    for &share in shares {
        if share > first {
            (first, second) = (share, first);
        } else if share > second {
            second = share;
        }
    }
    first - second
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
