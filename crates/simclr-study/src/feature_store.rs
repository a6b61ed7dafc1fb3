//! Features on disk, so that each is computed once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use sha2::{Digest, Sha256};
use simclr_augment::Policy;
use simclr_checkpoint::{CheckpointFile, Metadata};
use simclr_data::{Dataset, content_digest};
use simclr_eval::Features;
use simclr_files::remove_leftovers;
use simclr_model::FrozenEncoder;
use simclr_progress::Progress;
use simclr_train::run::{RunFacts, arithmetic};

use crate::error::{Error, Result};

/// The name of the only tensor in a file.
const FEATURES: &str = "features";

/// The entry of a file's metadata with the name that the file must have.
const KEY: &str = "key";

/// A folder of features.
///
/// A file's name is a digest of the encoder's parameters, the images' contents and order,
/// how they are prepared, the instruction set and the precision; labels and names are not in it, so the same
/// features serve every set of classes. Nothing is ever stale: what changes has another name.
#[derive(Debug, Clone)]
pub struct FeatureStore {
    dir: PathBuf,
}

impl FeatureStore {
    /// Opens a folder, making it if needed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        remove_leftovers(&dir)?;
        Ok(Self { dir })
    }

    /// The encoder's features of the images: read, or computed and kept. Also whether they
    /// were read.
    ///
    /// # Errors
    /// An image that cannot be read; a folder that cannot be written to. The features of a
    /// damaged file are computed again, with a warning.
    pub fn get_or_extract(
        &self,
        encoder: &FrozenEncoder,
        images: &Arc<dyn Dataset>,
        policy: &Policy,
        progress: &mut dyn Progress,
    ) -> Result<(Features, bool)> {
        let path = self.path(encoder, images.as_ref(), policy)?;
        if path.is_file() {
            match read(&path, images.as_ref()) {
                Ok(features) => return Ok((features, true)),
                Err(error) => tracing::warn!("{error}; the features are computed again"),
            }
        }
        let features = Features::extract_showing(encoder, images.clone(), policy, progress)?;
        let tensors = BTreeMap::from([(FEATURES.to_owned(), features.tensor()?)]);
        let file = CheckpointFile {
            tensors,
            metadata: Metadata::default().with_extra(KEY, name_of(&path)),
        };
        file.save(&path)?;
        Ok((features, false))
    }

    fn path(
        &self,
        encoder: &FrozenEncoder,
        images: &dyn Dataset,
        policy: &Policy,
    ) -> Result<PathBuf> {
        let as_json = |what: &str, value| simclr_files::Error::json(what.as_ref())(value);
        let policy = serde_json::to_string(policy).map_err(|e| as_json("policy", e))?;
        let architecture = serde_json::to_string(encoder.config());
        let architecture = architecture.map_err(|e| as_json("architecture", e))?;
        let mut digest = Sha256::new();
        for input in [
            encoder_digest(encoder)?,
            architecture,
            content_digest(images)?,
            policy,
        ] {
            digest.update(input);
            digest.update([0]);
        }
        // Features of another instruction set, precision or kind of device are others.
        digest.update(arithmetic()?);
        digest.update(
            RunFacts::default()
                .device(encoder.device())
                .device
                .unwrap_or_default(),
        );
        let name = hex::encode(digest.finalize());
        Ok(self.dir.join(format!("{}.safetensors", &name[..32])))
    }
}

/// SHA-256 of an encoder's parameters, names and values.
///
/// # Errors
/// If the parameters cannot be read.
pub(crate) fn encoder_digest(encoder: &FrozenEncoder) -> Result<String> {
    Ok(simclr_eval::digest(encoder.parameters().iter(), &[])?)
}

fn name_of(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read(path: &Path, images: &dyn Dataset) -> Result<Features> {
    let file = CheckpointFile::load(path, &Device::Cpu)?;
    let wrong = |reason: String| Error::StudyFile {
        path: path.to_owned(),
        reason,
    };
    // Files of the first version do not know their name.
    let key: Option<String> = file.metadata.entry(path, KEY)?;
    if let Some(key) = key.filter(|key| *key != name_of(path)) {
        return Err(wrong(format!("holds the features of {key}")));
    }
    let tensor: &Tensor = file
        .tensors
        .get(FEATURES)
        .ok_or_else(|| wrong("holds no features".into()))?;
    let (rows, size) = tensor.dims2()?;
    if rows != images.len() {
        return Err(wrong(format!(
            "holds features of {rows} images, expected {}",
            images.len()
        )));
    }
    Ok(Features::new(
        tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?,
        size,
        images,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simclr_data::{ClassMap, DatasetExt, Seed, SyntheticCores};
    use simclr_model::{Encoder, ResNetConfig, Stem};
    use simclr_progress::Silent;

    fn encoder(seed: u64) -> FrozenEncoder {
        let config = ResNetConfig::depth(18).with_stem(Stem::ImageNet);
        let encoder = Encoder::initialize(&config, seed, &Device::Cpu).unwrap();
        encoder.frozen()
    }

    #[test]
    fn features_are_computed_once_per_network_and_images_whatever_the_labels() {
        let dir = tempfile::tempdir().unwrap();
        let store = FeatureStore::open(dir.path()).unwrap();
        let cores = SyntheticCores::new(12, 32, Seed(1)).unwrap().shared();
        let get = |encoder: &FrozenEncoder, images: &Arc<dyn Dataset>, size: usize| {
            let policy = Policy::probe(size);
            store
                .get_or_extract(encoder, images, &policy, &mut Silent)
                .unwrap()
        };
        let (network, other) = (encoder(1), encoder(2));
        let (computed, was_there) = get(&network, &cores, 32);
        assert!(!was_there);
        let (read, was_there) = get(&network, &cores, 32);
        assert!(was_there && read == computed);

        let binary = ClassMap::binary("none").apply(cores.clone()).unwrap();
        let (relabelled, was_there) = get(&network, &binary.shared(), 32);
        assert!(was_there && relabelled.values == computed.values);
        assert_eq!(relabelled.class_names, ["none", "other"]);

        let few = cores.subset((0..11).collect::<Vec<_>>()).unwrap().shared();
        for (encoder, images, size) in [
            (&other, &cores, 32),
            (&network, &few, 32),
            (&network, &cores, 24),
        ] {
            assert!(!get(encoder, images, size).1);
        }
    }

    #[test]
    fn the_features_of_a_damaged_or_renamed_file_are_computed_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = FeatureStore::open(dir.path()).unwrap();
        let cores = SyntheticCores::new(4, 32, Seed(1)).unwrap().shared();
        let get = |seed| {
            let policy = Policy::probe(32);
            store
                .get_or_extract(&encoder(seed), &cores, &policy, &mut Silent)
                .unwrap()
        };
        let (expected, _) = get(1);
        let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        let good = fs::read(file.path()).unwrap();
        get(2);
        let mut files = fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().path());
        let other = files.find(|path| *path != file.path()).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for damaged in [&good[..good.len() / 2], &flipped, &fs::read(other).unwrap()] {
            fs::write(file.path(), damaged).unwrap();
            assert_eq!(get(1), (expected.clone(), false));
            assert!(fs::read(file.path()).unwrap() == good);
            assert!(get(1).1);
        }
    }
}
