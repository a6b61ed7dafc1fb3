//! Splits that keep groups together.
//!
//! Every part has a share of each class as its aim, and whole groups are dealt out,
//! the larger ones first: to one of the parts in which the group still fits, drawn in
//! proportion to the room there, or, where it fits nowhere, to the part in which it
//! does least harm. Of several such draws the best is taken. With groups of one image
//! each this gives the shares of an ordinary split, to one image per class and part.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use simclr_augment::Stream;

use super::fractions::{Fractions, ROUNDING};
use super::groups::Groups;
use super::parts::{Part, Split, check_classes};
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::streams::GROUPS;

/// How often groups are dealt out to find a good split.
const DRAWS: u64 = 16;

/// Splits each class by the same fractions as far as whole groups allow; returns indices.
///
/// # Errors
/// If the images have no labels, the fractions are out of range, the groups are those of
/// another set, or a class has too few groups for the parts.
pub fn grouped_split(
    dataset: &dyn Dataset,
    groups: &Groups,
    fractions: Fractions,
    seed: Seed,
) -> Result<Split<Vec<usize>>> {
    let parts = fractions.parts()?;
    let images = deal(dataset, groups, &parts, "a grouped split", seed)?;
    Ok(Split::of_parts(images))
}

/// Deals whole groups out to the parts; returns the images of each.
pub(super) fn deal(
    dataset: &dyn Dataset,
    groups: &Groups,
    parts: &[Part],
    operation: &'static str,
    seed: Seed,
) -> Result<Vec<Vec<usize>>> {
    let labels = dataset.labels(operation)?;
    check_classes(dataset.class_names())?;
    if groups.len() != labels.len() {
        let name = "the number of images that have a group";
        return Err(Error::setting(name, labels.len().to_string(), groups.len()));
    }
    let table = Dealer::new(&labels, dataset.class_names().len(), groups, parts);
    let deals = (0..DRAWS).map(|draw| table.deal(Stream::new(seed).epoch(draw).rng(GROUPS)));
    let best = deals.reduce(|best, deal| {
        if deal.is_better_than(&best) {
            deal
        } else {
            best
        }
    });
    let part_of_group = best.map(|deal| deal.part_of_group).unwrap_or_default();
    table.check(&part_of_group, dataset.class_names())?;

    let mut images = vec![Vec::new(); parts.len()];
    for (group, members) in groups.members().into_iter().enumerate() {
        images[part_of_group[group]].extend(members);
    }
    Ok(images)
}

/// The images of one class in a group or a part.
#[derive(Clone, Copy)]
struct ClassCount {
    class: usize,
    images: usize,
}

struct Dealer<'a> {
    parts: &'a [Part],
    /// How many images each class has.
    class_sizes: Vec<usize>,
    /// The classes in each group.
    groups: Vec<Vec<ClassCount>>,
}

/// One way to deal the groups out.
struct Deal {
    part_of_group: Vec<usize>,
    /// Classes that are missing from a part that needs them.
    missing: usize,
    /// How far the parts are from their shares.
    cost: f64,
}

impl Deal {
    fn is_better_than(&self, other: &Self) -> bool {
        (self.missing, self.cost) < (other.missing, other.cost)
    }
}

impl<'a> Dealer<'a> {
    fn new(labels: &[u32], classes: usize, groups: &Groups, parts: &'a [Part]) -> Self {
        let mut class_sizes = vec![0; classes];
        let mut counts: Vec<Vec<ClassCount>> = vec![Vec::new(); groups.count()];
        for (image, &label) in labels.iter().enumerate() {
            let class = label as usize;
            class_sizes[class] += 1;
            let group = groups.group_of(image).and_then(|g| counts.get_mut(g));
            let Some(group) = group else { continue };
            match group.iter_mut().find(|count| count.class == class) {
                Some(count) => count.images += 1,
                None => group.push(ClassCount { class, images: 1 }),
            }
        }
        Self {
            parts,
            class_sizes,
            groups: counts,
        }
    }

    /// Larger groups first, because small ones even out what large ones leave; groups of
    /// similar size in random order.
    fn order(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.shuffle(rng);
        let magnitude = |&group: &usize| {
            let images: usize = self.groups[group].iter().map(|count| count.images).sum();
            std::cmp::Reverse(images.checked_ilog2())
        };
        order.sort_by_key(magnitude);
        order
    }

    fn deal(&self, mut rng: ChaCha8Rng) -> Deal {
        // What each part still lacks of each class.
        let lack = |part: &Part| -> Vec<f64> {
            let sizes = self.class_sizes.iter();
            sizes.map(|&size| part.fraction * size as f64).collect()
        };
        let mut lacking: Vec<Vec<f64>> = self.parts.iter().map(lack).collect();
        let mut part_of_group = vec![0; self.groups.len()];
        for group in self.order(&mut rng) {
            let counts = &self.groups[group];
            let part = self.choose(counts, &lacking, &mut rng);
            for count in counts {
                lacking[part][count.class] -= count.images as f64;
            }
            part_of_group[group] = part;
        }
        Deal {
            missing: self.missing(&part_of_group).len(),
            cost: self.cost(&lacking),
            part_of_group,
        }
    }

    fn choose(&self, group: &[ClassCount], lacking: &[Vec<f64>], rng: &mut ChaCha8Rng) -> usize {
        let room = |lacking: &Vec<f64>| -> f64 {
            let fits = |c: &ClassCount| lacking[c.class] + ROUNDING >= c.images as f64;
            if group.iter().all(fits) {
                group.iter().map(|count| lacking[count.class]).sum()
            } else {
                0.0
            }
        };
        let rooms: Vec<f64> = lacking.iter().map(room).collect();
        let total: f64 = rooms.iter().sum();
        if total > 0.0 {
            let mut drawn = rng.random_range(0.0..total);
            for (part, room) in rooms.iter().enumerate().filter(|(_, room)| **room > 0.0) {
                if drawn < *room {
                    return part;
                }
                drawn -= room;
            }
        }
        let harm = |lacking: &Vec<f64>| -> f64 {
            let added = |count: &ClassCount| {
                let (images, lack) = (count.images as f64, lacking[count.class]);
                images * (images - 2.0 * lack) / (self.class_sizes[count.class] as f64).powi(2)
            };
            group.iter().map(added).sum()
        };
        let harms = lacking.iter().map(harm).enumerate();
        let least = harms.min_by(|(_, a), (_, b)| a.total_cmp(b));
        least.map_or(0, |(part, _)| part)
    }

    /// The sum of squared deviations, as parts of each class.
    fn cost(&self, lacking: &[Vec<f64>]) -> f64 {
        let of_part = |lacking: &Vec<f64>| -> f64 {
            let classes = lacking.iter().zip(&self.class_sizes);
            let classes = classes.filter(|&(_, &size)| size > 0);
            classes
                .map(|(lack, &size)| (lack / size as f64).powi(2))
                .sum()
        };
        lacking.iter().map(of_part).sum()
    }

    /// The (part, class) that have no image although they need one.
    fn missing(&self, part_of_group: &[usize]) -> Vec<(usize, usize)> {
        let mut present = vec![vec![false; self.class_sizes.len()]; self.parts.len()];
        for (counts, &part) in self.groups.iter().zip(part_of_group) {
            for count in counts {
                present[part][count.class] = true;
            }
        }
        let mut missing = Vec::new();
        for (part, present) in present
            .iter()
            .enumerate()
            .filter(|&(p, _)| self.parts[p].needed)
        {
            let absent = (0..present.len()).filter(|&class| !present[class]);
            missing.extend(absent.map(|class| (part, class)));
        }
        missing
    }

    fn check(&self, part_of_group: &[usize], names: &[String]) -> Result<()> {
        let Some(&(part, class)) = self.missing(part_of_group).first() else {
            return Ok(());
        };
        let has = |counts: &&Vec<ClassCount>| counts.iter().any(|count| count.class == class);
        let groups = match self.groups.iter().filter(has).count() {
            1 => "1 group".to_owned(),
            groups => format!("{groups} groups"),
        };
        let (fraction, part) = (self.parts[part].fraction, self.parts[part].name);
        Err(Error::ClassTooSmall {
            class: names[class].clone(),
            images: self.class_sizes[class],
            reason: format!(
                " in {groups}, and with a fraction of {fraction} for {part} no group is left \
                 for {part}; take other fractions, or smaller groups"
            ),
        })
    }
}
