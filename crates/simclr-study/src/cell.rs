//! One point of a study's grid.

use serde::{Deserialize, Serialize};
use simclr_data::Seed;

use crate::file_name::file_name;

/// One point of the grid: a method on one fold of one seed with a share of the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The method.
    #[serde(alias = "arm")]
    pub method: String,
    /// The seed of splits, label budgets, weights and orders.
    pub seed: Seed,
    /// The fold, from 0.
    pub fold: usize,
    /// The fraction of the training images whose labels are used.
    pub label_fraction: f64,
}

impl Cell {
    /// All cells of methods x seeds x folds x label fractions, the last one running fastest.
    pub fn grid(
        methods: &[&str],
        seeds: &[Seed],
        folds: usize,
        label_fractions: &[f64],
    ) -> Vec<Self> {
        let mut cells = Vec::new();
        for method in methods {
            for &seed in seeds {
                for fold in 0..folds {
                    cells.extend(label_fractions.iter().map(|&label_fraction| Self {
                        method: (*method).to_owned(),
                        seed,
                        fold,
                        label_fraction,
                    }));
                }
            }
        }
        cells
    }

    /// The name of the cell's file.
    pub(crate) fn file_name(&self) -> String {
        format!(
            "{}_seed-{}_fold-{}_labels-{}.json",
            file_name(&self.method),
            self.seed.0,
            self.fold + 1,
            self.label_fraction
        )
    }
}
