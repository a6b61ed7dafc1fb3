//! Figures of merit of a classifier: accuracy, top-k, precision, recall and F1
//! per class and averaged, the confusion matrix and the precision-recall curve.

mod batch_means;
mod confusion;
mod curve;
mod report;
mod softmax;
mod top_k;

pub use batch_means::{BatchMeans, PAPER_BATCH_SIZE};
pub use confusion::{ClassScores, ConfusionMatrix};
pub use curve::{PrecisionRecallCurve, RocCurve};
pub use report::ClassificationReport;
pub(crate) use softmax::cross_entropies;
pub use softmax::softmax;
pub use top_k::{arg_max, top_k_accuracy};
