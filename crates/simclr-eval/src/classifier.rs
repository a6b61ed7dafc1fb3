//! Classifiers of images.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};
use simclr_augment::Policy;
use simclr_checkpoint::load_model;
use simclr_data::{Dataset, ViewLoader};
use simclr_model::{FrozenEncoder, Mode, Parameter, SimClr};

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

    /// What identifies the classifier in a run folder, such as a digest of its parameters.
    ///
    /// # Errors
    /// If the parameters cannot be read.
    fn identity(&self) -> Result<String>;
}

/// A network with a supervised head.
#[derive(Debug, Clone)]
pub struct NetworkClassifier {
    model: SimClr,
    classes: usize,
}

impl NetworkClassifier {
    /// The model, which must have a supervised head. It shares its variables, so it should
    /// not be trained on.
    ///
    /// # Errors
    /// [`Error::NoSupervisedHead`] if there is none.
    pub fn new(model: SimClr) -> Result<Self> {
        let head = model.config().supervised_head.as_ref();
        let classes = head
            .map(|head| head.num_classes)
            .ok_or(Error::NoSupervisedHead { path: None })?;
        Ok(Self { model, classes })
    }

    /// Reads a network that was trained with labels.
    ///
    /// # Errors
    /// A file that is missing, damaged or no network of ours; a network without a
    /// supervised head.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        Self::new(load_model(path, device)?.model).map_err(|error| match error {
            Error::NoSupervisedHead { .. } => Error::NoSupervisedHead {
                path: Some(path.to_owned()),
            },
            other => other,
        })
    }

    /// The network.
    pub fn model(&self) -> &SimClr {
        &self.model
    }
}

impl ImageClassifier for NetworkClassifier {
    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let images = images.to_device(self.model.device())?;
        let output = self.model.forward(&images, Mode::Infer)?;
        let logits = output
            .logits
            .ok_or(Error::NoSupervisedHead { path: None })?;
        Ok(logits.detach())
    }

    fn identity(&self) -> Result<String> {
        digest(self.model.parameters(), &[])
    }
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
/// Images without labels, or with other classes; an image that cannot be read.
pub fn evaluate_classifier(
    classifier: &dyn ImageClassifier,
    images: Arc<dyn Dataset>,
    policy: &Policy,
) -> Result<ClassificationReport> {
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
        let logits = classifier.logits(&batch?.views)?;
        scores.extend(logits.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(scores)
}
