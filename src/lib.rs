//! SimCLRv2 for geological images: contrastive pretraining, probes and reports on candle.
//!
//! This package is the facade over the workspace's crates. [`prelude`] has what most
//! programs need.
//!
//! | module | crate | what it is for |
//! | --- | --- | --- |
//! | [`kernels`] | `simclr-kernels` | fast CPU kernels as differentiable candle ops |
//! | [`augment`] | `simclr-augment` | image operations and augmentation policies |
//! | [`collective`] | `simclr-collective` | what several ranks do together; threads as ranks |
//! | [`data`] | `simclr-data` | image folders, splits, folds, the view loader, synthetic cores |
//! | [`model`] | `simclr-model` | ResNets, projection head, supervised head, freezing |
//! | [`loss`] | `simclr-loss` | NT-Xent and the other losses |
//! | [`checkpoint`] | `simclr-checkpoint` | safetensors, TensorFlow and PyTorch checkpoints |
//! | [`classifier`] | `simclr-classifier` | a classifier of images as one file |
//! | [`drillcore`] | `simclr-drillcore` | section photographs to tiles with depths, predictions to logs |
//! | [`labels`] | `simclr-labels` | labels in the files of labelling programs |
//! | [`onnx`] | `simclr-onnx` | networks as ONNX files |
//! | [`selection`] | `simclr-selection` | which images to label next |
//! | [`optim`] | `simclr-optim` | LARS, SGD, Adam, learning-rate schedules, weight decay |
//! | [`train`] | `simclr-train` | the training loops, callbacks, run folders |
//! | [`eval`] | `simclr-eval` | features, probes, metrics, calibration, intervals |
//! | [`report`] | `simclr-report` | tables, plots, HTML pages |
//! | [`study`] | `simclr-study` | methods over seeds, folds and label budgets |
//! | [`progress`] | `simclr-progress` | progress of long computations |

pub use simclr_augment as augment;
pub use simclr_checkpoint as checkpoint;
pub use simclr_classifier as classifier;
pub use simclr_collective as collective;
pub use simclr_data as data;
pub use simclr_drillcore as drillcore;
pub use simclr_eval as eval;
pub use simclr_kernels as kernels;
pub use simclr_labels as labels;
pub use simclr_loss as loss;
pub use simclr_model as model;
#[cfg(feature = "mpi")]
pub use simclr_mpi as mpi;
#[cfg(feature = "nccl")]
pub use simclr_nccl as nccl;
pub use simclr_onnx as onnx;
pub use simclr_optim as optim;
pub use simclr_progress as progress;
pub use simclr_report as report;
pub use simclr_selection as selection;
pub use simclr_study as study;
pub use simclr_train as train;

/// What most programs need.
pub mod prelude {
    pub use simclr_augment::{DecodedImage, Image, Policy, Stream, View};
    pub use simclr_checkpoint::LoadNetwork;
    pub use simclr_data::{
        Dataset, DatasetExt, Fractions, ImageFolder, IntoDataset, Seed, Split, Subset,
        SyntheticCores, ViewLoader,
    };
    pub use simclr_eval::report::EvaluationReport;
    pub use simclr_eval::{Features, ProbeSuite};
    pub use simclr_loss::NtXent;
    pub use simclr_model::{
        Encoder, Freeze, FrozenEncoder, Mode, ProjectionHeadConfig, ResNetConfig, SimClr,
        SimClrConfig, Stem,
    };
    pub use simclr_progress::{Progress, ProgressMode, Stage};
    pub use simclr_train::report::TrainingReport;
    pub use simclr_train::{
        Distill, DistillConfig, FineTune, FineTuneConfig, LoopConfig, Pretrain, PretrainConfig,
    };
}

#[cfg(doctest)]
mod book;
