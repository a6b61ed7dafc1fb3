//! Splits, folds and budgets: which images are trained on.
//!
//! All of them work class by class (stratified), depend on a seed alone, and give
//! indices in increasing order: the order of training is the loader's business.
//!
//! Parts of a class end at `round(fraction * images)`. The paper's scripts round
//! down and then let the first part have one image more; the two differ by at most
//! one image per class and part.

mod budget;
mod folds;
mod fractions;
mod grouped;
mod groups;
mod parts;
mod stratified;

pub(crate) use budget::{label_budget, unlabelled_fraction};
pub use folds::Folds;
pub use fractions::Fractions;
pub use grouped::grouped_split;
pub use groups::Groups;
pub use parts::Split;
pub use stratified::stratified_split;
