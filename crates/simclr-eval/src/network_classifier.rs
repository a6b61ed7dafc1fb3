//! Networks with a supervised head as classifiers, and the names of their classes.

use std::borrow::Cow;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use simclr_checkpoint::{LoadedModel, load_model};
use simclr_files::{normalized_name, same_names};
use simclr_model::{Mode, Parameters, SimClr};

use crate::class_names::other_classes;
use crate::classifier::{ImageClassifier, digest};
use crate::{Error, Result};

/// The entry of a network file's metadata with the names of the supervised head's classes, in the
/// order of its logits.
pub const CLASSES_ENTRY: &str = "classes";

/// How the names of the supervised head's parameters begin.
const HEAD: &str = "supervised_head.";

/// A network with a supervised head.
#[derive(Debug, Clone)]
pub struct NetworkClassifier {
    model: SimClr,
    classes: usize,
    class_names: Option<Vec<String>>,
}

impl NetworkClassifier {
    /// The model, which must have a supervised head. It shares its variables, so it should
    /// not be trained on. The names of its classes are not known.
    ///
    /// # Errors
    /// [`Error::NoSupervisedHead`] if there is none.
    pub fn new(model: SimClr) -> Result<Self> {
        let head = model.config().supervised_head.as_ref();
        let classes = head
            .map(|head| head.num_classes)
            .ok_or(Error::NoSupervisedHead { path: None })?;
        Ok(Self {
            model,
            classes,
            class_names: None,
        })
    }

    /// Reads a network that was trained with labels, and the names of its classes if the file has
    /// them ([`CLASSES_ENTRY`]), as those that this library trains have.
    ///
    /// # Errors
    /// A file that is missing, damaged or no network of ours; a network without a
    /// supervised head, or with names of another number of classes.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        Self::of_file(path, load_model(path, device)?)
    }

    /// As [`load`](Self::load), for what was read from `path` already.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of_file(path: &Path, loaded: LoadedModel) -> Result<Self> {
        let names: Option<Vec<String>> = loaded.metadata.entry(path, CLASSES_ENTRY)?;
        let network = Self::new(loaded.model).map_err(|error| match error {
            Error::NoSupervisedHead { .. } => Error::NoSupervisedHead {
                path: Some(path.to_owned()),
            },
            other => other,
        })?;
        let Some(names) = names else {
            return Ok(network);
        };
        if names.len() != network.classes {
            let (named, classes) = (names.len(), network.classes);
            let error = simclr_checkpoint::Error::Malformed {
                path: path.to_owned(),
                reason: format!(
                    "metadata entry `{CLASSES_ENTRY}`: expected {classes} names, as the \
                     supervised head has classes, found {named}"
                ),
            };
            return Err(error.into());
        }
        network.with_class_names(&names)
    }

    /// Names the classes, in the order of the logits.
    ///
    /// # Errors
    /// [`Error::Setting`] unless there is a name for each class.
    pub fn with_class_names(mut self, names: &[String]) -> Result<Self> {
        if names.len() != self.classes {
            let expected = format!("{}, as the supervised head has classes", self.classes);
            return Err(Error::setting("class names", expected, names.len()));
        }
        self.class_names = Some(names.to_vec());
        Ok(self)
    }

    /// The same network with its logits in the order of these classes. Where the names of its own
    /// classes are not known, only their number is compared, and a warning says so.
    ///
    /// # Errors
    /// [`Error::Setting`] if the network tells apart another number of classes, or classes of
    /// other names; the message lists both.
    pub fn for_classes(self, classes: &[String]) -> Result<Self> {
        if self.classes != classes.len() {
            let mut expected = format!("a supervised head for {} classes", classes.len());
            let mut found = format!("{} classes", self.classes);
            if let Some(own) = &self.class_names {
                expected += &format!(" ({})", classes.join(", "));
                found += &format!(" ({})", own.join(", "));
            }
            return Err(Error::setting("network", expected, found));
        }
        let Some(own) = &self.class_names else {
            tracing::warn!(
                "the network does not name its classes, as those of other programs and of earlier \
                 versions do not: only their number, {}, could be compared, and they are taken to \
                 be in this order: {}",
                classes.len(),
                classes.join(", ")
            );
            return self.with_class_names(classes);
        };
        if same_names(own, classes) {
            return self.with_class_names(classes);
        }
        let normalized = |names: &[String]| -> Vec<String> {
            let names = names.iter().map(|name| normalized_name(name));
            names.map(Cow::into_owned).collect()
        };
        let (known, wanted) = (normalized(own), normalized(classes));
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        if sorted(&known) != sorted(&wanted) {
            return Err(other_classes("the network", own, classes));
        }
        let place = |class| known.iter().position(|name| name == class);
        let order = wanted.iter().filter_map(place).map(|place| place as u32);
        let model = reordered(&self.model, &order.collect::<Vec<_>>())?;
        Self::new(model)?.with_class_names(classes)
    }

    /// The network.
    pub fn model(&self) -> &SimClr {
        &self.model
    }

    /// The network, without the names of its classes.
    pub fn into_model(self) -> SimClr {
        self.model
    }
}

impl ImageClassifier for NetworkClassifier {
    fn classes(&self) -> usize {
        self.classes
    }

    fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
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

/// The network whose logit `i` is logit `order[i]` of the given one. Its supervised head has
/// variables of its own, so the given network stays as it is.
fn reordered(model: &SimClr, order: &[u32]) -> Result<SimClr> {
    let order = Tensor::new(order, model.device())?;
    let store = model.store()?;
    let variables = store.iter().map(|(name, variable)| {
        if !name.starts_with(HEAD) {
            return Ok((name.to_owned(), variable.clone()));
        }
        // The last dimension is that of the classes, of kernel and bias alike.
        let last = variable.rank().saturating_sub(1);
        let values = variable.index_select(&order, last)?;
        Ok((name.to_owned(), Var::from_tensor(&values)?))
    });
    let variables = variables.collect::<Result<Vec<_>>>()?;
    let parameters = Parameters::from_variables(variables)?;
    Ok(SimClr::new(model.config(), parameters.var_builder())?)
}

#[cfg(test)]
mod tests {
    use simclr_checkpoint::{Source, model_checkpoint};
    use simclr_model::{ResNetConfig, SimClrConfig, Stem};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn network() -> NetworkClassifier {
        let encoder = ResNetConfig::depth(18).with_stem(Stem::Cifar);
        let config = SimClrConfig::new(encoder).with_classes(3);
        let model = SimClr::initialize(&config, 5, &Device::Cpu).unwrap();
        NetworkClassifier::new(model).unwrap()
    }

    fn logits(network: &NetworkClassifier) -> Vec<f32> {
        let image = Tensor::full(0.25f32, (1, 8, 8, 3), &Device::Cpu).unwrap();
        let logits = network.logits(&image).unwrap();
        logits.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn logits_follow_the_order_of_the_classes() {
        let own = network().with_class_names(&names(&["clay", "sand", "silt"]));
        let own = own.unwrap();
        let before = logits(&own);
        let wanted = names(&["silt", "clay", "sand"]);
        let other = own.clone().for_classes(&wanted).unwrap();
        assert_eq!(logits(&other), [before[2], before[0], before[1]]);
        assert_eq!(other.class_names(), Some(wanted.as_slice()));
        // The given network keeps its own order.
        assert_eq!(logits(&own), before);
        assert_eq!(own.class_names().unwrap()[0], "clay");
    }

    #[test]
    fn classes_of_other_names_or_another_number_are_refused() {
        let own = network().with_class_names(&names(&["clay", "sand", "silt"]));
        let own = own.unwrap();
        for wrong in [["clay", "sand", "gravel"], ["clay", "clay", "sand"]] {
            let error = own.clone().for_classes(&names(&wrong)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&wrong.join(", ")), "{text}");
            assert!(text.contains("clay, sand, silt"), "{text}");
        }
        let error = own.for_classes(&names(&["clay", "sand"])).unwrap_err();
        let text = error.to_string();
        let expected = "for 2 classes (clay, sand), found 3 classes (clay, sand, silt)";
        assert!(text.contains(expected), "{text}");
        let error = network().with_class_names(&names(&["clay"])).unwrap_err();
        assert!(error.to_string().contains("expected 3"), "{error}");
    }

    #[test]
    fn names_in_another_unicode_form_are_the_same() {
        let own = network().with_class_names(&names(&["Gr\u{e8}s", "clay", "sand"]));
        let wanted = names(&["sand", "Gre\u{300}s", "clay"]);
        let before = logits(own.as_ref().unwrap());
        let other = own.unwrap().for_classes(&wanted).unwrap();
        assert_eq!(logits(&other), [before[2], before[0], before[1]]);
        assert_eq!(other.class_names(), Some(wanted.as_slice()));
    }

    #[test]
    fn names_are_read_from_the_file_and_older_files_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("network.safetensors");
        let model = network().into_model();
        let save = |names: Option<Vec<String>>| {
            let mut file = model_checkpoint(&model, Source::default()).unwrap();
            if let Some(names) = names {
                file.metadata = file.metadata.with_extra(CLASSES_ENTRY, names);
            }
            file.save(&path).unwrap();
        };
        let classes = names(&["clay", "sand", "silt"]);
        save(Some(classes.clone()));
        let loaded = NetworkClassifier::load(&path, &Device::Cpu).unwrap();
        assert_eq!(loaded.class_names(), Some(classes.as_slice()));

        save(None);
        let loaded = NetworkClassifier::load(&path, &Device::Cpu).unwrap();
        assert_eq!(loaded.class_names(), None);
        let named = loaded.for_classes(&classes).unwrap();
        assert_eq!(named.class_names(), Some(classes.as_slice()));

        save(Some(names(&["clay"])));
        let error = NetworkClassifier::load(&path, &Device::Cpu).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("network.safetensors"), "{text}");
        assert!(text.contains("expected 3 names"), "{text}");
    }
}
