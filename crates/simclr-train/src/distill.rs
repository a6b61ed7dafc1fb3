//! Distillation and self-training: SimCLRv2's third step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use simclr_data::{Dataset, IntoDataset};
use simclr_eval::{ImageClassifier, NetworkClassifier};
use simclr_files::same_names;

use crate::config::LoopConfig;
use crate::distill_config::DistillConfig;
use crate::distill_result::DistillResult;
use crate::distillation::DistillationObjective;
use crate::error::{Error, Result};
use crate::identity;
use crate::images::facts_of;
use crate::resume::KeptNetwork;
use crate::run::RunFacts;
use crate::run_spec::{RunSpec, TrainingInputs};

/// Builder for a distillation: a student learns what a teacher says about images, with or
/// without labels.
///
/// Student and teacher see the same view of each image, and the loss of a batch of n
/// images is
///
/// ```text
/// a / n  * sum over all images           T^2 CE(softmax(teacher / T), softmax(student / T))
/// + (1 - a) / n * sum over labelled ones -ln softmax(student)[label]
/// ```
///
/// (Chen et al., 2020, "Big self-supervised models are strong semi-supervised learners",
/// equations 2 and 3). A student of the teacher's own size that also starts from its
/// weights is self-training. With `a = 0` and no teacher the same loop trains on the
/// labels alone, for a teacher to be or for a student to compare with.
///
/// ```no_run
/// use std::sync::Arc;
/// use simclr_data::{DatasetExt, ImageFolder, PartlyLabelled};
/// use simclr_eval::NetworkClassifier;
/// use simclr_train::Distill;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let teacher = NetworkClassifier::load("teacher.safetensors", &candle_core::Device::Cpu)?;
/// let labelled = ImageFolder::labelled("labelled/")?;
/// let images = PartlyLabelled::new(labelled, ImageFolder::unlabelled("cores/")?);
/// let run = Distill::resnet(18).image_size(64).epochs(50)
///     .run(Some(Arc::new(teacher)), images, "runs/student")?;
/// println!("{}", run.result.summary());
/// # Ok(())
/// # }
/// ```
pub type Distill = RunSpec<DistillConfig>;

/// A finished distillation.
#[derive(Debug)]
pub struct DistillRun {
    /// The student, ready to classify.
    pub student: NetworkClassifier,
    /// What was measured, also in `result.json`.
    pub result: DistillResult,
    /// The run folder.
    pub dir: PathBuf,
    /// The trained student in the run folder, heads included.
    pub model_file: PathBuf,
}

impl Distill {
    /// The usual settings with a student of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self::new(DistillConfig::resnet(depth))
    }

    /// Runs, or goes on where an interrupted run in `dir` stopped. A finished run is not
    /// repeated: its outcome is read back.
    ///
    /// The classes are those of `images`; images without a label learn from the teacher
    /// alone.
    ///
    /// # Errors
    /// Settings out of range; a teacher with other classes, or in another order, as far as it names
    /// them; neither a teacher nor labels; a batch larger than the data; a folder that holds another run, or one
    /// with another teacher; an image that cannot be read; a loss that is no longer finite.
    pub fn run(
        &self,
        teacher: Option<Arc<dyn ImageClassifier>>,
        images: impl IntoDataset,
        dir: impl Into<PathBuf>,
    ) -> Result<DistillRun> {
        self.config.validate()?;
        let images = images.into_dataset();
        let classes = self.check(teacher.as_deref(), images.as_ref())?;
        let labelled = (0..images.len())
            .filter(|&i| images.label(i).is_some())
            .count();
        let identity_of_teacher = teacher.as_deref().map(ImageClassifier::identity);
        let inputs = TrainingInputs {
            num_classes: classes,
            facts: RunFacts::default().dataset("train", facts_of(images.as_ref())?),
            identity: BTreeMap::from([(identity::TEACHER, identity_of_teacher.transpose()?)]),
            images: images.clone(),
        };
        let objective = DistillationObjective {
            loss: self.config.loss,
            teacher,
        };
        let run = self.start(dir.into(), inputs, objective, &[], KeptNetwork::Last)?;
        let completed = run.run(&mut |_| Ok(Vec::new()))?;
        completed.save_network()?;
        let recorded = completed.record(
            |run| DistillResult::new(run, images.len(), labelled),
            DistillResult::summary,
        )?;
        Ok(DistillRun {
            student: NetworkClassifier::new(recorded.trainer.model().clone())?
                .with_class_names(images.class_names())?,
            result: recorded.result,
            dir: recorded.dir,
            model_file: recorded.model_file,
        })
    }

    /// The number of classes, on which data and teacher must agree, and on their names as far as the
    /// teacher's are known.
    fn check(&self, teacher: Option<&dyn ImageClassifier>, images: &dyn Dataset) -> Result<usize> {
        let names = images.class_names();
        let classes = names.len();
        let named = teacher.and_then(ImageClassifier::class_names);
        match teacher {
            None if self.config.loss.weight > 0.0 => {
                let weight = self.config.loss.weight;
                Err(Error::setting(
                    "weight of the teacher",
                    "0 without a teacher",
                    weight,
                ))
            }
            Some(teacher) if teacher.classes() != classes => {
                let expected = format!("{classes}, as the images have");
                let actual = teacher.classes();
                Err(Error::setting(
                    "number of the teacher's classes",
                    expected,
                    actual,
                ))
            }
            Some(_) if named.is_some_and(|named| !same_names(named, names)) => Err(Error::setting(
                "the teacher's classes",
                format!(
                    "those of the images, in their order ({}; \
                     `NetworkClassifier::for_classes` reorders a network)",
                    names.join(", ")
                ),
                named.unwrap_or_default().join(", "),
            )),
            _ if classes == 0 => Err(Error::NoLabels {
                operation: "distillation",
                missing: "images with classes",
            }),
            _ => Ok(classes),
        }
    }
}
