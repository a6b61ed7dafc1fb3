//! Where images lie along a hole, and which of them are near each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::Dataset;
use crate::depth_position::DepthPosition;
use crate::error::{Error, Result};
use crate::setters::setters;

/// Depths are rounded in tables and become sums of fractions, so distances may differ by this.
const ROUNDING_M: f64 = 1e-6;

/// Use of depth in contrastive learning: images near each other probably show the same.
///
/// After GeoCLR (Yamada et al. 2022, "GeoCLR: Georeference Contrastive Learning for Efficient
/// Seafloor Image Interpretation"), which takes a positive pair from neighbouring images of the
/// sea floor.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DepthGuidance {
    /// Metres within which the second view's image is drawn, all images within them with the same
    /// probability, the first view's included. Default: none, both views are of one image.
    pub positive_radius: Option<f64>,
    /// Metres: views of images that are nearer to each other are no negatives of each other.
    /// Default: none, all views but the positive one are negatives.
    pub negative_distance: Option<f64>,
}

impl DepthGuidance {
    setters! {
        with_positive_radius(positive_radius: Option<f64>);
        with_negative_distance(negative_distance: Option<f64>);
    }

    /// Whether positions matter at all.
    pub fn needs_positions(&self) -> bool {
        self.positive_radius.is_some() || self.negative_distance.is_some()
    }

    /// Checks both lengths.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that is not a finite number above 0.
    pub fn validate(&self) -> Result<()> {
        for (name, metres) in [
            ("positive_radius", self.positive_radius),
            ("negative_distance", self.negative_distance),
        ] {
            if let Some(metres) = metres.filter(|metres| !(metres.is_finite() && *metres > 0.0)) {
                let expected = "a finite number of metres above 0";
                return Err(Error::setting(name, expected, metres));
            }
        }
        Ok(())
    }
}

/// The images of a data set in the order of their depths.
///
/// ```
/// use simclr_data::{DepthNeighbours, ImageTable};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("tiles.csv");
/// let table = "image,hole,depth_m\na.png,A,1.0\nb.png,A,1.1\nc.png,A,1.5\nd.png,B,1.1\n";
/// std::fs::write(&path, table)?;
/// let neighbours = DepthNeighbours::new(&ImageTable::read(&path)?)?;
/// assert_eq!(neighbours.within(1, 0.2).collect::<Vec<_>>(), [0, 1]);
/// assert_eq!(neighbours.alone(0.2), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DepthNeighbours {
    /// By hole and depth.
    order: Vec<Place>,
    /// The place of each image in `order`, if it has a position.
    places: Vec<Option<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    hole: usize,
    depth: f64,
    image: usize,
}

impl DepthNeighbours {
    /// Asks a data set for all positions.
    ///
    /// # Errors
    /// [`Error::Setting`] if no image has a position, or one has a depth that is not finite.
    pub fn new(images: &dyn Dataset) -> Result<Self> {
        let positions: Vec<_> = (0..images.len()).map(|i| images.position(i)).collect();
        // Numbered as they come, so that their names do not matter.
        let mut holes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for (image, position) in positions.iter().enumerate() {
            let Some(DepthPosition { hole, depth }) = position else {
                continue;
            };
            if !depth.is_finite() {
                let found = format!("{depth} for {}", images.name(image));
                return Err(Error::setting("depth", "a finite number of metres", found));
            }
            let next = holes.len();
            order.push(Place {
                hole: *holes.entry(hole).or_insert(next),
                depth: *depth,
                image,
            });
        }
        if order.is_empty() {
            let expected = "known for some images: those of a table with depths, such as the \
                            tiles.csv of `simclr tiles`";
            let found = format!("none for {} images", images.len());
            return Err(Error::setting("depths", expected, found));
        }
        // Stable, so images at the same depth stay in the set's order.
        order.sort_by(|a, b| a.hole.cmp(&b.hole).then(a.depth.total_cmp(&b.depth)));
        let mut places = vec![None; positions.len()];
        for (place, at) in order.iter().enumerate() {
            places[at.image] = Some(place);
        }
        Ok(Self { order, places })
    }

    /// The images that are at most `radius` metres away from an image, itself included, by depth;
    /// only itself if it has no position.
    pub fn within(
        &self,
        image: usize,
        radius: f64,
    ) -> impl ExactSizeIterator<Item = usize> + use<'_> {
        let place = self.places.get(image).copied().flatten();
        let (near, alone) = match place {
            Some(place) => (self.around(place, radius), None),
            None => (&self.order[..0], Some(image)),
        };
        let len = near.len() + usize::from(alone.is_some());
        (0..len).map(move |index| near.get(index).map_or(image, |place| place.image))
    }

    fn around(&self, place: usize, radius: f64) -> &[Place] {
        let Place { hole, depth, .. } = self.order[place];
        let reach = radius + ROUNDING_M;
        let start = self
            .order
            .partition_point(|at| (at.hole, at.depth) < (hole, depth - reach));
        let end = self
            .order
            .partition_point(|at| (at.hole, at.depth) <= (hole, depth + reach));
        &self.order[start..end]
    }

    /// How many images have no other within `radius` metres, those without a position among them.
    pub fn alone(&self, radius: f64) -> usize {
        let counts = (0..self.places.len()).map(|image| self.within(image, radius).len());
        counts.filter(|&count| count < 2).count()
    }

    /// How many images have no position.
    pub fn without_position(&self) -> usize {
        self.places.len() - self.order.len()
    }

    /// A digest of who is where: other positions have another one.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for Place { hole, depth, image } in &self.order {
            digest.update((*hole as u64).to_le_bytes());
            digest.update(depth.to_le_bytes());
            digest.update((*image as u64).to_le_bytes());
        }
        hex::encode(digest.finalize())
    }

    /// The pairs among views of these images that are less than `distance` metres apart.
    pub(crate) fn near_pairs(&self, images: &[usize], distance: f64) -> Vec<(usize, usize)> {
        let reach = distance - ROUNDING_M;
        let mut views: Vec<(Place, usize)> = images
            .iter()
            .enumerate()
            .filter_map(|(view, &image)| Some((self.order[self.places[image]?], view)))
            .collect();
        views.sort_by(|(a, _), (b, _)| a.hole.cmp(&b.hole).then(a.depth.total_cmp(&b.depth)));
        let mut pairs = Vec::new();
        for (index, (above, view)) in views.iter().enumerate() {
            let below = views[index + 1..].iter();
            let near = below.take_while(|(below, _)| {
                below.hole == above.hole && below.depth - above.depth < reach
            });
            pairs.extend(near.map(|(_, other)| (*view, *other)));
        }
        pairs
    }

    /// Fails if the lengths leave no image another positive, or no negative.
    pub(crate) fn check(&self, guidance: DepthGuidance) -> Result<()> {
        let in_hole = |pair: &&[Place]| pair[0].hole == pair[1].hole;
        let steps = self.order.windows(2).filter(in_hole);
        let smallest = steps
            .map(|pair| pair[1].depth - pair[0].depth)
            .min_by(f64::total_cmp);
        if let Some(radius) = guidance.positive_radius
            && self.alone(radius) == self.places.len()
        {
            let expected = match smallest {
                Some(metres) => {
                    format!("at least {metres:.4} m, the smallest distance between two images")
                }
                None => "two images in one hole".to_owned(),
            };
            return Err(Error::setting("positive_radius", expected, radius));
        }
        let (Some(first), Some(last)) = (self.order.first(), self.order.last()) else {
            return Ok(());
        };
        let is_one_hole = first.hole == last.hole && self.without_position() == 0;
        let range = last.depth - first.depth;
        match guidance.negative_distance {
            Some(distance) if is_one_hole && range < distance - ROUNDING_M => {
                let expected = format!("at most the {range:.4} m between the first and last image");
                Err(Error::setting("negative_distance", expected, distance))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use simclr_augment::DecodedImage;

    use super::*;

    struct Positions(Vec<Option<(&'static str, f64)>>);

    impl Dataset for Positions {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn decode(&self, _: usize) -> Result<DecodedImage> {
            Ok(DecodedImage::new(1, 1, vec![0; 3])?)
        }

        fn position(&self, index: usize) -> Option<DepthPosition> {
            let (hole, depth) = (*self.0.get(index)?)?;
            let hole = hole.to_owned();
            Some(DepthPosition { hole, depth })
        }
    }

    fn neighbours() -> DepthNeighbours {
        let positions = [
            Some(("B", 0.5)),
            Some(("A", 0.3)),
            None,
            Some(("A", 0.1)),
            Some(("A", 0.1 + 0.1 + 0.1)),
            Some(("B", 9.0)),
        ];
        DepthNeighbours::new(&Positions(positions.to_vec())).unwrap()
    }

    #[test]
    fn neighbours_are_in_the_same_hole_and_within_the_radius() {
        let neighbours = neighbours();
        let within = |image, radius| neighbours.within(image, radius).collect::<Vec<_>>();
        assert_eq!(within(3, 0.2), [3, 1, 4]);
        assert_eq!(within(3, 0.19), [3]);
        assert_eq!(within(1, 0.0001), [1, 4]);
        assert_eq!(within(0, 8.0), [0]);
        assert_eq!(within(0, 8.5), [0, 5]);
        assert_eq!(within(2, 100.0), [2]);
        assert_eq!(
            (neighbours.alone(0.2), neighbours.without_position()),
            (3, 1)
        );
        assert_ne!(neighbours.digest(), {
            let moved = [Some(("A", 0.3)), None];
            DepthNeighbours::new(&Positions(moved.to_vec()))
                .unwrap()
                .digest()
        });
    }

    #[test]
    fn pairs_of_views_are_near_if_their_images_are() {
        let neighbours = neighbours();
        let pairs = |distance| {
            let mut pairs = neighbours.near_pairs(&[0, 1, 2, 3, 5, 4, 2, 1], distance);
            pairs
                .iter_mut()
                .for_each(|pair| *pair = (pair.0.min(pair.1), pair.0.max(pair.1)));
            pairs.sort_unstable();
            pairs
        };
        // Views 1, 5 and 7 are at 0.3 m in hole A, view 3 at 0.1 m.
        assert_eq!(pairs(0.2), [(1, 5), (1, 7), (5, 7)]);
        assert_eq!(pairs(0.21).len(), 6);
        assert_eq!(pairs(9.0).len(), 7);
    }

    #[test]
    fn lengths_that_leave_nothing_are_refused() {
        let guidance = DepthGuidance::default();
        let neighbours = neighbours();
        assert!(
            neighbours
                .check(guidance.with_positive_radius(Some(0.1)))
                .is_ok()
        );
        let apart = Positions(vec![Some(("A", 0.0)), Some(("A", 0.4)), Some(("A", 1.0))]);
        let apart = DepthNeighbours::new(&apart).unwrap();
        let refused = |guidance: DepthGuidance, expected: &str| {
            let message = apart.check(guidance).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        refused(
            guidance.with_positive_radius(Some(0.3)),
            "at least 0.4000 m",
        );
        refused(
            guidance.with_negative_distance(Some(1.5)),
            "at most the 1.0000 m",
        );
        assert!(
            apart
                .check(guidance.with_negative_distance(Some(1.0)))
                .is_ok()
        );

        let message = DepthNeighbours::new(&Positions(vec![None; 3]))
            .unwrap_err()
            .to_string();
        assert!(message.contains("none for 3 images"), "{message}");
        assert!(DepthNeighbours::new(&Positions(vec![Some(("A", f64::NAN))])).is_err());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(
                guidance
                    .with_positive_radius(Some(wrong))
                    .validate()
                    .is_err()
            );
            assert!(
                guidance
                    .with_negative_distance(Some(wrong))
                    .validate()
                    .is_err()
            );
        }
    }
}
