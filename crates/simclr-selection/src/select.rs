use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::clusters::{clusters, typicalities};
use crate::config::{SelectionConfig, Strategy};
use crate::error::{Result, check};
use crate::pool::Pool;

/// More clusters than this say little (Hacohen et al. 2022).
const MOST_CLUSTERS: usize = 500;

/// An image to label.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Its row in the pool.
    pub index: usize,
    /// Why it was chosen, in words.
    pub reason: String,
}

impl Pool {
    /// The images to label next, the most useful first; fewer than asked for if the pool or its
    /// groups have no more.
    ///
    /// # Errors
    /// A setting out of range; a strategy that needs probabilities if there are none.
    pub fn select(&self, config: &SelectionConfig) -> Result<Vec<Choice>> {
        config.validate()?;
        let uncertainties = self.uncertainties();
        let has_them = uncertainties.is_some() || !config.strategy.needs_probabilities();
        let expected = format!("a classifier's, for the strategy {}", config.strategy);
        check(has_them, "probabilities", expected, "none")?;
        let uncertainties = uncertainties.unwrap_or_default();
        let mut choices = Choices::new(self, config);
        match config.strategy {
            Strategy::Random => self.at_random(config, &mut choices),
            Strategy::Uncertainty => self.by_uncertainty(&uncertainties, &mut choices),
            Strategy::Coreset => self.by_distance(&mut choices),
            Strategy::Typicality => self.by_clusters(config, None, &mut choices),
            Strategy::Mixed => self.by_clusters(config, Some(&uncertainties), &mut choices),
        }
        Ok(choices.chosen)
    }

    fn at_random(&self, config: &SelectionConfig, choices: &mut Choices<'_>) {
        let mut order: Vec<usize> = self.unlabelled().collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed.0));
        for index in order {
            choices.offer(index, || "at random".to_owned());
        }
    }

    fn by_uncertainty(&self, uncertainties: &[f64], choices: &mut Choices<'_>) {
        let mut order: Vec<usize> = self.unlabelled().collect();
        order.sort_by(|&a, &b| uncertainties[b].total_cmp(&uncertainties[a]));
        for index in order {
            choices.offer(index, || unsure(uncertainties[index]));
        }
    }

    fn by_distance(&self, choices: &mut Choices<'_>) {
        let mut nearest = vec![f32::INFINITY; self.len()];
        let mut labelled = self.labelled().peekable();
        if labelled.peek().is_none() {
            // The first is the one in the middle: nothing is far from nothing.
            let mut sum = vec![0.0; self.size()];
            for row in self.rows() {
                sum.iter_mut()
                    .zip(row)
                    .for_each(|(sum, value)| *sum += value);
            }
            let distances = self.distances(&sum);
            let middle = (0..self.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b]));
            let index = middle.unwrap_or(0);
            choices.offer(index, || "in the middle of all images".to_owned());
            closer(&mut nearest, &self.distances(self.row(index)));
        }
        for index in labelled {
            closer(&mut nearest, &self.distances(self.row(index)));
        }
        while !choices.is_full() {
            let open = self.unlabelled().filter(|&index| choices.is_open(index));
            let Some(index) =
                open.max_by(|&a, &b| nearest[a].total_cmp(&nearest[b]).then(b.cmp(&a)))
            else {
                break;
            };
            let distance = nearest[index];
            choices.offer(index, || {
                format!("{distance:.3} away from the nearest image that has a label or was chosen")
            });
            closer(&mut nearest, &self.distances(self.row(index)));
        }
    }

    /// One image of each cluster, the clusters without labels first; then one more, and so on.
    fn by_clusters(
        &self,
        config: &SelectionConfig,
        uncertainties: Option<&[f64]>,
        choices: &mut Choices<'_>,
    ) {
        let count = (self.labelled().count() + config.count).min(MOST_CLUSTERS);
        let mut ranked: Vec<Cluster> = clusters(self, count, config.seed)
            .into_iter()
            .filter(|members| !members.is_empty())
            .map(|members| Cluster::new(self, members, uncertainties))
            .collect();
        while !choices.is_full() {
            ranked.retain_mut(|cluster| {
                cluster.open.retain(|&index| choices.is_open(index));
                !cluster.open.is_empty()
            });
            let fewest = ranked.iter().map(|cluster| cluster.covered).min();
            let best = ranked
                .iter_mut()
                .filter(|cluster| Some(cluster.covered) == fewest)
                .reduce(|best, next| {
                    if next.weight > best.weight {
                        next
                    } else {
                        best
                    }
                });
            let Some(cluster) = best else { break };
            let index = cluster.open[0];
            cluster.covered += 1;
            let (size, labels) = (cluster.size, cluster.labels);
            choices.offer(index, || {
                let labels = match labels {
                    0 => "no label".to_owned(),
                    1 => "one label".to_owned(),
                    labels => format!("{labels} labels"),
                };
                let typical = format!("typical of {size} similar images with {labels}");
                match uncertainties {
                    None => typical,
                    Some(of) => format!("{typical}; {}", unsure(of[index])),
                }
            });
        }
    }
}

fn unsure(uncertainty: f64) -> String {
    let margin = 100.0 * (1.0 - uncertainty);
    format!("the two most probable classes are {margin:.1} points apart")
}

/// Replaces distances by smaller ones.
fn closer(nearest: &mut [f32], distances: &[f32]) {
    for (nearest, &distance) in nearest.iter_mut().zip(distances) {
        *nearest = nearest.min(distance);
    }
}

/// Images that look alike.
struct Cluster {
    /// How many of them have a label or were chosen.
    covered: usize,
    labels: usize,
    size: usize,
    /// How much the cluster counts among those that are covered alike.
    weight: f64,
    /// Those without a label, the best first.
    open: Vec<usize>,
}

impl Cluster {
    fn new(pool: &Pool, members: Vec<usize>, uncertainties: Option<&[f64]>) -> Self {
        let typicalities = typicalities(pool, &members);
        let most = typicalities
            .iter()
            .copied()
            .fold(f64::MIN_POSITIVE, f64::max);
        let unsure = |index: usize| uncertainties.map_or(1.0, |of| of[index]);
        let score =
            |(&index, typicality): (&usize, f64)| (index, typicality / most * unsure(index));
        let mut scored: Vec<(usize, f64)> = members.iter().zip(typicalities).map(score).collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        let labels = members
            .iter()
            .filter(|&&index| pool.is_labelled(index))
            .count();
        Self {
            covered: labels,
            labels,
            size: members.len(),
            weight: members.iter().map(|&index| unsure(index)).sum(),
            open: scored
                .into_iter()
                .map(|(index, _)| index)
                .filter(|&index| !pool.is_labelled(index))
                .collect(),
        }
    }
}

/// What was chosen, and what still may be.
struct Choices<'a> {
    pool: &'a Pool,
    config: &'a SelectionConfig,
    chosen: Vec<Choice>,
    is_chosen: Vec<bool>,
    of_group: BTreeMap<usize, usize>,
}

impl<'a> Choices<'a> {
    fn new(pool: &'a Pool, config: &'a SelectionConfig) -> Self {
        Self {
            pool,
            config,
            chosen: Vec::new(),
            is_chosen: vec![false; pool.len()],
            of_group: BTreeMap::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.chosen.len() >= self.config.count
    }

    fn is_open(&self, index: usize) -> bool {
        let group = self.pool.group(index);
        let taken = group.and_then(|group| self.of_group.get(&group)).copied();
        let has_room = match (group, self.config.per_group) {
            (Some(_), Some(most)) => taken.unwrap_or(0) < most,
            _ => true,
        };
        has_room && !self.is_chosen[index]
    }

    /// Chooses an image if it still may be.
    fn offer(&mut self, index: usize, reason: impl FnOnce() -> String) {
        if self.is_full() || !self.is_open(index) {
            return;
        }
        self.is_chosen[index] = true;
        if let Some(group) = self.pool.group(index) {
            *self.of_group.entry(group).or_default() += 1;
        }
        let reason = reason();
        self.chosen.push(Choice { index, reason });
    }
}
