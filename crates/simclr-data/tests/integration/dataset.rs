//! Data sets of one's own: what they override and which errors they return survive every
//! pointer and wrapper.
#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::sync::Arc;

use image::RgbImage;
use simclr_data::{
    AugmentedDataset, ClassMap, Concatenated, Dataset, DatasetExt, DecodedImage, DepthPosition,
    Error, InMemory, IntoDataset, OfflineAugmentation, PartlyLabelled, Result, Seed, Subset,
    SyntheticCores, ViewLoader, images_to_tensor,
};

/// Knows all labels at once but none by itself, as a database may.
#[derive(Clone)]
struct Database(Vec<String>);

fn database() -> Database {
    Database(["crack", "none"].map(String::from).to_vec())
}

impl Dataset for Database {
    fn len(&self) -> usize {
        4
    }
    fn decode(&self, index: usize) -> Result<DecodedImage> {
        Err(Error::other(format!("row {index} cannot be fetched")))
    }
    fn class_names(&self) -> &[String] {
        &self.0
    }
    fn name(&self, index: usize) -> String {
        format!("row {index}")
    }
    fn position(&self, index: usize) -> Option<DepthPosition> {
        let hole = "database".to_owned();
        let depth = index as f64;
        Some(DepthPosition { hole, depth }).filter(|_| index < 4)
    }
    fn is_empty(&self) -> bool {
        true
    }
    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        Ok([index as u8; 32])
    }
    fn labels(&self, _: &'static str) -> Result<Vec<u32>> {
        Ok(vec![0, 1, 1, 1])
    }
    fn class_counts(&self) -> Vec<usize> {
        vec![1, 3]
    }
}

fn check_forwarded(set: &dyn Dataset) {
    assert_eq!(set.len(), 4);
    assert!(set.is_empty());
    assert_eq!(set.class_names(), ["crack", "none"]);
    assert_eq!(set.labels("a test").unwrap(), [0, 1, 1, 1]);
    assert_eq!(set.class_counts(), [1, 3]);
    assert_eq!(set.name(2), "row 2");
    assert_eq!(set.content_digest(2).unwrap(), [2; 32]);
    assert_eq!(set.position(2).unwrap().depth, 2.0);
    assert_eq!(
        set.decode(2).unwrap_err().to_string(),
        "row 2 cannot be fetched"
    );
}

#[test]
fn pointers_forward_every_override() {
    check_forwarded(&database());
    check_forwarded(&&database());
    check_forwarded(&Box::new(database()));
    check_forwarded(&Arc::new(database()));
    let dynamic: Arc<dyn Dataset> = database().into_dataset();
    check_forwarded(&dynamic);
    let boxed: Box<dyn Dataset> = Box::new(dynamic);
    check_forwarded(&boxed);
}

#[test]
fn wrappers_use_what_the_set_overrides() {
    let labels = |set: &dyn Dataset| (set.labels("a test").unwrap(), set.class_counts());
    let subset = database().subset(vec![3, 0]).unwrap();
    assert_eq!(labels(&subset), (vec![1, 0], vec![1, 1]));
    let nested = subset.subset(vec![0]).unwrap();
    assert_eq!(labels(&nested), (vec![1], vec![0, 1]));
    let twice = Concatenated::new([database().shared(), subset.shared()]).unwrap();
    assert_eq!(labels(&twice), (vec![0, 1, 1, 1, 1, 0], vec![2, 4]));
    let mapped = database().mapped(&ClassMap::binary("none")).unwrap();
    assert_eq!(labels(&mapped), (vec![1, 0, 0, 0], vec![3, 1]));
    assert!(mapped.is_empty());
    let copies = AugmentedDataset::new(database(), &[2], OfflineAugmentation::default()).unwrap();
    assert_eq!(copies.labels("a test").unwrap(), [0, 1, 1, 1, 1, 1, 1]);
    let partly = PartlyLabelled::new(database(), database());
    assert_eq!(partly.class_counts(), [1, 3]);
    for set in [&twice as &dyn Dataset, &mapped, &partly] {
        assert_eq!(set.name(1), "row 1");
        assert_eq!(set.content_digest(1).unwrap(), [1; 32]);
        assert_eq!(set.position(1).unwrap().depth, 1.0);
        assert_eq!(set.position(9), None);
    }
    assert_eq!(subset.position(0).unwrap().depth, 3.0);
    // The copies of the third image are where that is.
    assert_eq!(copies.position(5).unwrap().depth, 2.0);
    // Whatever is past the end is an error of the wrapper.
    let error = partly.decode(8).unwrap_err();
    assert!(
        matches!(error, Error::Index { index: 8, len: 8 }),
        "{error}"
    );
}

#[test]
fn a_subset_needs_the_labels_of_its_own_images_alone() {
    let cores = SyntheticCores::new(20, 8, Seed(1)).unwrap();
    let labelled = cores.subset((0..10).collect::<Vec<_>>()).unwrap();
    let partly = PartlyLabelled::new(labelled, cores);
    assert!(partly.labels("a test").is_err());
    let first = Subset::new(partly.clone(), [3, 4]).unwrap();
    assert_eq!(first.labels("a test").unwrap(), [3, 4]);
    let second = Subset::new(partly, [3, 15]).unwrap();
    let error = second.labels("a test").unwrap_err().to_string();
    assert_eq!(
        error,
        "a test needs labels, but image 'fractured/5' has none"
    );
    assert_eq!(second.class_counts(), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn foreign_errors_arrive_with_their_source_printed_once() {
    let policy = simclr_augment::Policy::probe(8);
    let loader = ViewLoader::evaluation(database(), policy, 4).unwrap();
    let error = loader.epochs(0..1).unwrap().next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "row 0 cannot be fetched");

    let missing = simclr_data::decode_file("no/such/file.png").unwrap_err();
    let source = missing.source().unwrap().to_string();
    assert_eq!(
        missing.to_string(),
        "no/such/file.png: cannot be read or written"
    );
    assert!(
        !missing.to_string().contains(&source),
        "{missing}: {source}"
    );
}

#[test]
fn two_methods_are_enough() {
    struct Plain;
    impl Dataset for Plain {
        fn len(&self) -> usize {
            2
        }
        fn decode(&self, _: usize) -> Result<DecodedImage> {
            Ok(DecodedImage::new(1, 1, vec![1, 2, 3])?)
        }
    }
    let set = InMemory::collect(&Plain).unwrap();
    assert_eq!(set.position(1), None);
    assert_eq!((set.len(), set.name(1)), (2, "image 1".to_owned()));
    assert!(!set.is_empty() && set.label(0).is_none() && set.class_names().is_empty());
    assert_eq!(
        set.content_digest(0).unwrap(),
        Plain.content_digest(1).unwrap()
    );
    let shown = format!("{:?}", Plain.into_dataset());
    assert!(shown.starts_with("Dataset { len: 2"), "{shown}");
}

#[test]
fn images_become_tensors_and_images_of_the_image_crate() {
    let image = DecodedImage::new(2, 3, (0..18).map(|v| v * 10).collect()).unwrap();
    let picture = RgbImage::try_from(image.clone()).unwrap();
    assert_eq!((picture.width(), picture.height()), (3, 2));
    assert_eq!(picture.get_pixel(1, 1).0, [120, 130, 140]);
    assert_eq!(DecodedImage::try_from(picture).unwrap(), image);
    assert!(DecodedImage::try_from(RgbImage::new(0, 4)).is_err());

    let cpu = candle_core::Device::Cpu;
    let tensor = images_to_tensor(&[image.to_image(), image.to_image()], &cpu).unwrap();
    assert_eq!(tensor.dims(), [2, 2, 3, 3]);
    let values: Vec<f32> = tensor
        .get(1)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    assert_eq!(values, image.to_image().data());
    let other = DecodedImage::new(3, 2, vec![0; 18]).unwrap().to_image();
    let error = images_to_tensor(&[image.to_image(), other], &cpu).unwrap_err();
    assert!(error.to_string().contains("must be 2 x 3"), "{error}");
    assert!(images_to_tensor(&[], &cpu).is_err());
}
