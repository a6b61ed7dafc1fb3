//! Classifiers of images.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};
use simclr_augment::Policy;
use simclr_data::{Dataset, ViewLoader};
use simclr_model::{FrozenEncoder, Parameter};

use crate::class_names::check_class_names;
use crate::features::BATCH_SIZE;
use crate::metrics::ClassificationReport;
use crate::probes::LinearHead;
use crate::{Error, Result};

/// Gives logits for images, as a teacher or a trained student does.
pub trait ImageClassifier: Send + Sync {
    /// How many classes it tells apart.
    fn classes(&self) -> usize;

    /// Logits `[n, classes]` of images `[n, height, width, 3]` in [0, 1], without a gradient.
    ///
    /// # Errors
    /// Images that are too small for it.
    fn logits(&self, images: &Tensor) -> Result<Tensor>;

    /// The names of the classes in the order of the logits; `None` if they are not known.
    fn class_names(&self) -> Option<&[String]> {
        None
    }

    /// What identifies the classifier in a run folder, such as a digest of its parameters.
    ///
    /// # Errors
    /// If the parameters cannot be read.
    fn identity(&self) -> Result<String>;
}

/// A frozen encoder with a linear head on its features: a teacher from a linear probe.
#[derive(Debug, Clone)]
pub struct ProbeClassifier {
    /// The encoder.
    pub encoder: FrozenEncoder,
    /// The head on the output of its global average pool.
    pub head: LinearHead,
}

impl ImageClassifier for ProbeClassifier {
    fn classes(&self) -> usize {
        self.head.classes()
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let features = self.encoder.embed(images, BATCH_SIZE)?;
        let features = features.to_device(self.head.kernel.device())?;
        Ok(self.head.logits(&features)?.detach())
    }

    fn identity(&self) -> Result<String> {
        let head = [self.head.kernel.as_tensor(), self.head.bias.as_tensor()];
        digest(self.encoder.parameters().iter(), &head)
    }
}

/// SHA-256 of the names and values of parameters and of further tensors.
///
/// # Errors
/// A tensor that is not f32.
pub fn digest<'a>(
    parameters: impl Iterator<Item = &'a Parameter>,
    others: &[&Tensor],
) -> Result<String> {
    let named = parameters.map(|p| (p.spec.name.as_str(), p.variable.as_tensor()));
    values_digest(named.chain(others.iter().map(|&tensor| ("", tensor))))
}

/// SHA-256 of names and values, in hexadecimal.
///
/// # Errors
/// A tensor that is not f32.
pub fn values_digest<'a>(named: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<String> {
    let mut digest = Sha256::new();
    for (name, tensor) in named {
        if tensor.dtype() != DType::F32 {
            let found = tensor.dtype().as_str();
            let reason = format!("expected f32, found `{name}` of {found}");
            return Err(Error::evaluation("digest of values", reason));
        }
        digest.update(name);
        for value in tensor.flatten_all()?.to_vec1::<f32>()? {
            digest.update(value.to_le_bytes());
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// How well a classifier does on images with labels, as `policy` prepares them.
///
/// # Errors
/// Images without labels, or whose classes are others or in another order than the classifier's; an
/// image that cannot be read.
pub fn evaluate_classifier(
    classifier: &dyn ImageClassifier,
    images: Arc<dyn Dataset>,
    policy: &Policy,
) -> Result<ClassificationReport> {
    if let Some(names) = classifier.class_names() {
        check_class_names("the classifier", names, images.class_names())?;
    }
    let labels = images.labels("an evaluation")?;
    let loader = ViewLoader::evaluation(images.clone(), policy.clone(), BATCH_SIZE)?;
    let scores = classifier_scores(classifier, &loader)?;
    ClassificationReport::new(&scores, &labels, images.class_names())
}

/// The logits of one pass over the loader's images, `[images, classes]`, flat.
///
/// # Errors
/// An image that cannot be read, or that the classifier does not take.
pub fn classifier_scores(
    classifier: &dyn ImageClassifier,
    loader: &ViewLoader,
) -> Result<Vec<f32>> {
    let mut scores = Vec::with_capacity(loader.dataset().len() * classifier.classes());
    for batch in loader.epochs(0..1)? {
        let batch = batch?;
        let logits = classifier.logits(&batch.views)?;
        let expected = [batch.len(), classifier.classes()];
        if logits.dims() != expected {
            let expected = format!("[images, classes] = {expected:?}");
            return Err(Error::setting(
                "logits of the classifier",
                expected,
                format!("{:?}", logits.dims()),
            ));
        }
        if !logits.dtype().is_float() {
            let found = logits.dtype().as_str();
            let expected = "a floating-point type";
            return Err(Error::setting("logits of the classifier", expected, found));
        }
        scores.extend(
            logits
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?,
        );
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use simclr_augment::{DecodedImage, Seed};
    use simclr_data::InMemory;

    use super::*;

    /// Gives ones of some type.
    struct Ones(DType);

    impl ImageClassifier for Ones {
        fn classes(&self) -> usize {
            2
        }

        fn logits(&self, images: &Tensor) -> Result<Tensor> {
            Ok(Tensor::ones((images.dim(0)?, 2), self.0, &Device::Cpu)?)
        }

        fn identity(&self) -> Result<String> {
            Ok("ones".to_owned())
        }
    }

    #[test]
    fn logits_are_numbers_of_any_floating_point_type() {
        let image = DecodedImage::new(8, 8, vec![9; 8 * 8 * 3]).unwrap();
        let images = InMemory::unlabelled(vec![image; 3]);
        let loader = ViewLoader::evaluation(images, Policy::probe(8), 2).unwrap();
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            assert_eq!(classifier_scores(&Ones(dtype), &loader).unwrap(), [1.0; 6]);
        }
        let error = classifier_scores(&Ones(DType::I64), &loader).unwrap_err();
        assert_eq!(
            error.to_string(),
            "logits of the classifier: expected a floating-point type, found i64"
        );
    }

    #[test]
    fn other_types_are_named_where_only_one_will_do() {
        let double = Tensor::zeros((2, 3), DType::F64, &Device::Cpu).unwrap();
        let error = values_digest([("kernel", &double)].into_iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "digest of values: expected f32, found `kernel` of f64"
        );
        let head = LinearHead::initial(3, 2, Seed(1)).unwrap();
        let text = head.logits(&double).unwrap_err().to_string();
        assert!(
            text.starts_with("dense: ") && text.contains("f64") && text.contains("f32"),
            "{text}"
        );
    }
}
