//! Distillation: a student learns a teacher's probabilities.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use crate::cross_entropy::log_softmax;
use crate::error::check_temperature;
use crate::tensors::{check_same_type, to_full_precision};
use crate::{Error, Result, cross_entropy};

const LOSS: &str = "distillation";

/// The mean over the batch of `T^2 * CE(softmax(teacher / T), softmax(student / T))`,
/// the original's `add_kd_loss`. No gradient goes to the teacher. A logit of minus infinity is a
/// probability of 0: the loss is infinite only where the student excludes what the teacher does not.
///
/// Both logits are `[n, classes]` of a floating-point type; the result is a scalar, f64 for
/// logits in f64 and f32 otherwise.
///
/// # Errors
/// Shapes or element types that do not fit, an empty batch, a temperature that is not a
/// positive number.
pub fn distillation_loss(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    check_temperature(temperature)?;
    let fits = student.rank() == 2 && student.elem_count() > 0;
    if !fits || student.dims() != teacher.dims() {
        return Err(Error::Shape {
            loss: LOSS,
            expected: format!(
                "student logits [samples, classes] as the teacher's, {:?}",
                teacher.dims()
            ),
            found: student.dims().to_vec(),
        });
    }
    let student = to_full_precision(LOSS, student)?;
    let teacher = to_full_precision(LOSS, &teacher.detach())?;
    check_same_type(LOSS, &student, &teacher)?;
    let teacher = log_softmax(&(teacher / temperature)?)?.exp()?;
    let student = log_softmax(&(student / temperature)?)?;
    // A class that the teacher excludes (0) counts nothing where the student excludes it too (ln 0).
    let student = teacher
        .eq(0.0)?
        .where_cond(&student.zeros_like()?, &student)?;
    let cross_entropy = (teacher * student)?.sum(D::Minus1)?.mean_all()?.neg()?;
    Ok((cross_entropy * (temperature * temperature))?)
}

/// Distillation mixed with the loss of known labels:
/// `(1 - weight) * cross_entropy + weight * distillation`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistillationLoss {
    /// The temperature of both softmaxes. Default 1.
    pub temperature: f64,
    /// The weight of the teacher, 0 to 1; the labels have the rest. Default 1: labels are not
    /// needed.
    pub weight: f64,
}

impl Default for DistillationLoss {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            weight: 1.0,
        }
    }
}

impl DistillationLoss {
    /// Checks both settings.
    ///
    /// # Errors
    /// [`Error::Setting`] names the one that is out of its range.
    pub fn validate(&self) -> Result<()> {
        check_temperature(self.temperature)?;
        if (0.0..=1.0).contains(&self.weight) {
            return Ok(());
        }
        Err(Error::Setting {
            name: "weight",
            expected: "a number from 0 to 1",
            found: self.weight.to_string(),
        })
    }

    /// The loss of student logits `[n, classes]` with a teacher's and with labels `[n]`.
    /// Without labels only the teacher counts, with its full weight.
    ///
    /// # Errors
    /// As [`distillation_loss`] and [`cross_entropy`]; a weight outside [0, 1].
    pub fn forward(
        &self,
        student: &Tensor,
        teacher: &Tensor,
        labels: Option<&Tensor>,
    ) -> Result<Tensor> {
        self.validate()?;
        let distillation = distillation_loss(student, teacher, self.temperature)?;
        let Some(labels) = labels else {
            return Ok(distillation);
        };
        let supervised = (cross_entropy(student, labels)? * (1.0 - self.weight))?;
        Ok(((distillation * self.weight)? + supervised)?)
    }

    /// The two terms of the loss where only some of the n samples have labels:
    ///
    /// * `weight * distillation`, the mean over all samples,
    /// * `(1 - weight) / n * sum of -ln softmax(student)[label]` over those with a label,
    ///   or `None` if there is none.
    ///
    /// Their sum is what SimCLRv2 minimises in its third step (Chen et al., 2020,
    /// equation 3), and what [`Self::forward`] gives where all samples have labels.
    ///
    /// # Errors
    /// As [`Self::forward`]; another number of labels than of samples.
    pub fn terms(
        &self,
        student: &Tensor,
        teacher: &Tensor,
        labels: &[Option<u32>],
    ) -> Result<(Tensor, Option<Tensor>)> {
        self.validate()?;
        let distillation = (distillation_loss(student, teacher, self.temperature)? * self.weight)?;
        let samples = student.dim(0)?;
        if labels.len() != samples {
            return Err(Error::Shape {
                loss: LOSS,
                expected: format!("{samples} labels, one per sample or none"),
                found: vec![labels.len()],
            });
        }
        let labelled = (0u32..)
            .zip(labels)
            .filter_map(|(row, label)| Some((row, (*label)?)));
        let (rows, labels): (Vec<u32>, Vec<u32>) = labelled.unzip();
        if rows.is_empty() {
            return Ok((distillation, None));
        }
        let share = rows.len() as f64 / samples as f64;
        let device = student.device();
        let labelled = student.index_select(&Tensor::new(rows, device)?, 0)?;
        let supervised = cross_entropy(&labelled, &Tensor::new(labels, device)?)?;
        let supervised = (supervised * (share * (1.0 - self.weight)))?;
        Ok((distillation, Some(supervised)))
    }
}
