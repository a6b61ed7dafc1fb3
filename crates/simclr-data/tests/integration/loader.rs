//! The view loader: same batches always, errors that arrive, threads that stop.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use simclr_augment::{DecodedImage, Policy, Stream, View};
use simclr_data::{
    Batch, Dataset, DepthGuidance, DepthPosition, Error, ImageFolder, InMemory, LastBatch,
    LoaderConfig, Result, Seed, Shard, ViewLoader,
};
use simclr_testkit::seeds;

const SEED: Seed = Seed(seeds::AUGMENTATIONS);

/// Images of different sizes with a pattern that depends on the index.
fn pictures(count: usize) -> InMemory {
    let picture = |i: usize| {
        let (height, width) = (20 + i % 5, 24 + i % 3);
        let data = (0..height * width * 3).map(|j| (j * (i + 3) % 251) as u8);
        DecodedImage::new(height, width, data.collect()).unwrap()
    };
    let labels = (0..count as u32).map(|i| i % 3).collect();
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    InMemory::labelled((0..count).map(picture).collect(), labels, classes).unwrap()
}

fn values(batch: &Batch) -> Vec<f32> {
    batch.views.flatten_all().unwrap().to_vec1().unwrap()
}

fn all(
    loader: &ViewLoader,
    steps: std::ops::Range<usize>,
) -> Vec<(usize, usize, Vec<usize>, Vec<f32>)> {
    let batches = loader.batches(steps).unwrap().map(Result::unwrap);
    batches
        .map(|b| (b.step, b.epoch, b.indices.clone(), values(&b)))
        .collect()
}

fn config(threads: usize, queue: usize, cache_bytes: u64) -> LoaderConfig {
    LoaderConfig::default()
        .with_batch_size(7)
        .with_seed(SEED)
        .with_threads(Some(threads))
        .with_queue(queue)
        .with_cache_bytes(cache_bytes)
}

#[test]
fn threads_queue_and_cache_change_nothing() {
    let set = pictures(25);
    for policy in [Policy::simclr_v2(12), Policy::paper(12)] {
        let batches = |config| {
            let loader = ViewLoader::new(set.clone(), policy.clone(), config).unwrap();
            all(&loader, 0..loader.steps(2))
        };
        let expected = batches(config(1, 1, 0));
        assert_eq!(expected.len(), 6);
        for (threads, queue, cache_bytes) in [(4, 3, 0), (3, 1, 1 << 20), (2, 2, 9000)] {
            assert!(batches(config(threads, queue, cache_bytes)) == expected);
        }
    }
}

#[test]
fn views_are_those_of_the_policy() {
    let set = pictures(9);
    let policy = Policy::simclr_v2(8);
    let loader = ViewLoader::new(set.clone(), policy.clone(), config(2, 2, 0)).unwrap();
    let batch = loader.epochs(3..4).unwrap().next().unwrap().unwrap();
    assert_eq!((batch.epoch, batch.step, batch.len()), (3, 3, 7));
    assert_eq!(batch.views.dims(), [14, 8, 8, 3]);
    let labels: Vec<u32> = batch.labels.as_ref().unwrap().to_vec1().unwrap();
    let rows: Vec<Vec<f32>> = batch.views.flatten_from(1).unwrap().to_vec2().unwrap();
    for (n, &index) in batch.indices.iter().enumerate() {
        assert_eq!(Some(labels[n]), set.label(index));
        let stream = Stream::new(SEED).epoch(3).sample(index as u64);
        for (row, view) in [(n, View::First), (n + 7, View::Second)] {
            let expected = policy
                .apply(&set.images()[index], stream.view(view))
                .unwrap();
            assert_eq!(rows[row], expected.data());
        }
    }
}

#[test]
fn an_image_has_the_same_views_in_every_shard() {
    let set = pictures(25);
    let config = LoaderConfig::default()
        .with_batch_size(6)
        .with_last_batch(LastBatch::WrapAcrossEpochs);
    let rows = |shard| {
        let loader = ViewLoader::new(set.clone(), Policy::paper(8), config.with_shard(shard));
        let batches = loader.unwrap().batches(2..6).unwrap();
        let rows = batches.map(|batch| batch.unwrap().views.flatten_from(1)?.to_vec2::<f32>());
        rows.collect::<candle_core::Result<Vec<_>>>().unwrap()
    };
    let shards: Vec<_> = (0..3)
        .map(|index| rows(Shard { index, count: 3 }))
        .collect();
    for (step, whole) in rows(Shard::default()).iter().enumerate() {
        // Two images a shard: their first views, then their second ones.
        let views = |range: std::ops::Range<usize>| {
            shards
                .iter()
                .flat_map(move |s| s[step][range.clone()].to_vec())
        };
        let joined: Vec<_> = views(0..2).chain(views(2..4)).collect();
        assert!(joined == *whole, "step {step}");
    }
}

#[test]
fn epochs_differ_and_seeds_differ() {
    let set = pictures(14);
    let batches = |seed| {
        let loader = ViewLoader::training(set.clone(), Policy::simclr_v2(8), 14, Seed(seed));
        all(&loader.unwrap(), 0..2)
    };
    let (one, two) = (batches(1), batches(2));
    assert_ne!(one[0].2, one[1].2);
    assert_ne!(one[0].2, two[0].2);
    let mut sorted = one[0].2.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..14).collect::<Vec<_>>());
}

#[test]
fn a_restarted_loader_goes_on_as_if_it_had_not_stopped() {
    let set = pictures(25);
    for last_batch in [LastBatch::Drop, LastBatch::WrapAcrossEpochs] {
        let config = config(2, 2, 0).with_last_batch(last_batch);
        let loader = || ViewLoader::new(set.clone(), Policy::paper(8), config).unwrap();
        let steps = loader().steps(3);
        let whole = all(&loader(), 0..steps);
        for from in [1, 4, steps - 1] {
            assert!(all(&loader(), from..steps) == whole[from..]);
        }
    }
}

#[test]
fn evaluation_keeps_order_and_the_last_images() {
    let set = pictures(10);
    let loader = ViewLoader::evaluation(set.clone(), Policy::probe(16), 4).unwrap();
    assert_eq!(loader.steps(1), 3);
    let batches: Vec<Batch> = loader.epochs(0..1).unwrap().map(Result::unwrap).collect();
    let indices: Vec<_> = batches.iter().flat_map(|b| b.indices.clone()).collect();
    assert_eq!(indices, (0..10).collect::<Vec<_>>());
    assert_eq!(batches[2].views.dims(), [2, 16, 16, 3]);
    // More than there is: everything in one batch.
    let loader = ViewLoader::evaluation(set.clone(), Policy::probe(16), 64).unwrap();
    assert_eq!(
        loader.epochs(0..1).unwrap().next().unwrap().unwrap().len(),
        10
    );
}

#[test]
fn images_without_labels_have_no_label_tensor() {
    let set = InMemory::unlabelled(pictures(5).images().to_vec());
    let loader = ViewLoader::evaluation(set.clone(), Policy::probe(8), 5).unwrap();
    assert!(
        loader
            .epochs(0..1)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .labels
            .is_none()
    );
}

#[test]
fn impossible_options_are_refused() {
    let set = pictures(5);
    let result = ViewLoader::training(set.clone(), Policy::paper(8), 6, SEED);
    let text = result.unwrap_err().to_string();
    assert!(
        text.contains("batch of 6 images") && text.contains("has 5"),
        "{text}"
    );

    let good = LoaderConfig::default().with_batch_size(2);
    for (config, name) in [
        (good.with_batch_size(0), "batch_size"),
        (good.with_views(0), "views"),
        (good.with_threads(Some(0)), "threads"),
        (good.with_queue(0), "queue"),
        (good.with_shard(Shard { index: 2, count: 2 }), "shard.index"),
        (good.with_shard(Shard { index: 0, count: 0 }), "shard.index"),
        (good.with_shard(Shard { index: 0, count: 3 }), "batch_size"),
        (
            good.with_shard(Shard { index: 0, count: 2 })
                .with_last_batch(LastBatch::Keep),
            "last_batch",
        ),
    ] {
        let error = ViewLoader::new(set.clone(), Policy::paper(8), config).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let views = good.with_views(4_000_000_000);
    let error = ViewLoader::new(set.clone(), Policy::paper(1024), views);
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("batch_size must be such that a batch has pixels and fits in memory")
            && text.contains("2 images, 4000000000 views of each of 1024 x 1024 pixels"),
        "{text}"
    );
    let error = ViewLoader::new(set.clone(), Policy::paper(200_000), good);
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("size must be at most 67108864 pixels"),
        "{text}"
    );
    let empty = InMemory::unlabelled(Vec::new());
    let error = ViewLoader::evaluation(empty, Policy::probe(8), 4).unwrap_err();
    assert!(error.to_string().contains("number of images"), "{error}");
    let result = ViewLoader::evaluation(set.clone(), Policy::probe(0), 4);
    assert!(matches!(result, Err(Error::Policy(_))));
}

/// A set with faults, which counts what is asked of it.
struct Faulty {
    pictures: InMemory,
    unreadable: Vec<usize>,
    panicking: Option<usize>,
    /// Whether the name panics too.
    nameless: bool,
    delay: Duration,
    decoded: AtomicUsize,
}

impl Faulty {
    fn new(count: usize) -> Self {
        Self {
            pictures: pictures(count),
            unreadable: Vec::new(),
            panicking: None,
            nameless: false,
            delay: Duration::ZERO,
            decoded: AtomicUsize::new(0),
        }
    }
}

impl Dataset for Faulty {
    fn len(&self) -> usize {
        self.pictures.len()
    }
    fn class_names(&self) -> &[String] {
        self.pictures.class_names()
    }
    fn label(&self, index: usize) -> Option<u32> {
        self.pictures.label(index)
    }
    fn name(&self, index: usize) -> String {
        assert!(!self.nameless || self.panicking != Some(index), "no name");
        format!("core {index}")
    }
    fn decode(&self, index: usize) -> Result<DecodedImage> {
        self.decoded.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.delay);
        assert!(self.panicking != Some(index), "the decoder is broken");
        if self.unreadable.contains(&index) {
            let (name, reason) = (self.name(index), "damaged".into());
            return Err(Error::Unreadable { name, reason });
        }
        self.pictures.decode(index)
    }
}

fn sequential(set: Faulty, batch_size: usize) -> (Arc<Faulty>, ViewLoader) {
    let set = Arc::new(set);
    let config = LoaderConfig::evaluation(batch_size).with_threads(Some(4));
    let loader = ViewLoader::new(set.clone(), Policy::probe(8), config).unwrap();
    (set, loader)
}

/// Why the first batch cannot be made.
fn first_error(loader: &ViewLoader) -> String {
    let first = loader.epochs(0..1).unwrap().next();
    first.unwrap().unwrap_err().to_string()
}

#[test]
fn the_first_damaged_image_is_reported_and_ends_the_iteration() {
    let faulty = Faulty {
        unreadable: vec![13, 11, 12],
        ..Faulty::new(40)
    };
    let (_, loader) = sequential(faulty, 5);
    let mut batches = loader.epochs(0..1).unwrap();
    assert!(batches.next().unwrap().is_ok());
    assert!(batches.next().unwrap().is_ok());
    assert_eq!(
        batches.next().unwrap().unwrap_err().to_string(),
        "core 11: damaged"
    );
    assert!(batches.next().is_none());
}

#[test]
fn a_panic_at_the_image_and_at_its_name_arrives_as_an_error() {
    let faulty = Faulty {
        panicking: Some(2),
        nameless: true,
        ..Faulty::new(6)
    };
    let (_, loader) = sequential(faulty, 6);
    let text = first_error(&loader);
    assert!(
        text.contains("image 2") && text.contains("the decoder is broken"),
        "{text}"
    );
}

#[test]
fn a_panic_in_a_worker_arrives_as_an_error() {
    let faulty = Faulty {
        panicking: Some(2),
        ..Faulty::new(6)
    };
    let (_, loader) = sequential(faulty, 6);
    let text = first_error(&loader);
    assert!(
        text.contains("core 2") && text.contains("the decoder is broken"),
        "{text}"
    );
}

#[test]
fn a_damaged_file_of_a_folder_is_named() {
    let root = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        std::fs::create_dir(root.path().join(class)).unwrap();
        image::RgbImage::new(9, 9)
            .save(root.path().join(class).join("good.png"))
            .unwrap();
    }
    std::fs::write(root.path().join("b/bad.jpg"), b"not a picture").unwrap();
    let folder = ImageFolder::labelled(root.path()).unwrap();
    let loader = ViewLoader::evaluation(folder, Policy::probe(8), 3).unwrap();
    let text = first_error(&loader);
    assert!(
        text.contains("bad.jpg") && text.contains("not an image"),
        "{text}"
    );
}

#[test]
fn dropping_the_batches_early_stops_the_threads() {
    let faulty = Faulty {
        delay: Duration::from_millis(2),
        ..Faulty::new(1000)
    };
    let (set, loader) = sequential(faulty, 4);
    let mut batches = loader.epochs(0..1).unwrap();
    batches.next().unwrap().unwrap();
    drop(batches);
    let decoded = set.decoded.load(Ordering::SeqCst);
    // One batch taken, two in the queue; nothing is decoded afterwards.
    assert!(decoded <= 4 * (1 + 2 + 1), "{decoded}");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(set.decoded.load(Ordering::SeqCst), decoded);
    drop(loader);
    assert_eq!(Arc::strong_count(&set), 1);
}

#[test]
fn the_queue_is_bounded_and_waiting_is_measured() {
    let faulty = Faulty {
        delay: Duration::from_millis(1),
        ..Faulty::new(60)
    };
    let (set, loader) = sequential(faulty, 10);
    let mut batches = loader.epochs(0..1).unwrap();
    // Two batches are made unasked, and no more however long nobody asks.
    while set.decoded.load(Ordering::SeqCst) < 20 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(set.decoded.load(Ordering::SeqCst), 20);
    let count = batches.by_ref().map(Result::unwrap).count();
    let times = batches.times();
    assert_eq!((count, times.images), (6, 60));
    assert!(times.waited > Duration::ZERO && times.waited < times.elapsed);
    let fraction = times.waiting_fraction();
    assert!(fraction > 0.0 && fraction < 1.0, "{fraction}");
}

#[test]
fn a_cached_image_is_decoded_once() {
    let set = Arc::new(Faulty::new(12));
    let config = config(3, 2, 1 << 20).with_batch_size(12);
    let loader = ViewLoader::new(set.clone(), Policy::paper(8), config).unwrap();
    assert_eq!(loader.epochs(0..5).unwrap().count(), 5);
    // Two threads may decode the same image at the same time in different epochs.
    let decoded = set.decoded.load(Ordering::SeqCst);
    assert!((12..=24).contains(&decoded), "{decoded}");
    assert_eq!(loader.epochs(5..9).unwrap().count(), 4);
    assert_eq!(set.decoded.load(Ordering::SeqCst), decoded);
}

/// Pictures 10 cm apart in two holes of ten, and three without a position.
struct Hole(InMemory);

impl Dataset for Hole {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        self.0.decode(index)
    }

    fn position(&self, index: usize) -> Option<DepthPosition> {
        let position = DepthPosition {
            hole: (index / 10).to_string(),
            depth: 0.1 * (index % 10) as f64,
        };
        Some(position).filter(|_| index < 20)
    }
}

fn guided(config: LoaderConfig, guidance: DepthGuidance) -> Result<ViewLoader> {
    let config = config.with_depth_guidance(guidance);
    ViewLoader::new(Hole(pictures(23)), Policy::paper(8), config)
}

#[test]
fn the_second_view_is_of_any_image_within_the_radius() {
    let guidance = DepthGuidance::default().with_positive_radius(Some(0.2));
    let loader = guided(config(2, 2, 1 << 20), guidance).unwrap();
    let (set, policy) = (pictures(23), Policy::paper(8));
    let mut chosen = vec![[0usize; 23]; 23];
    for batch in loader.epochs(0..60).unwrap() {
        let batch = batch.unwrap();
        let rows: Vec<Vec<f32>> = batch.views.flatten_from(1).unwrap().to_vec2().unwrap();
        for (n, &index) in batch.indices.iter().enumerate() {
            let stream = Stream::new(SEED)
                .epoch(batch.epoch as u64)
                .sample(index as u64);
            let is_of = |row: usize, view, image: usize| {
                let expected = policy.apply(&set.images()[image], stream.view(view));
                rows[row] == expected.unwrap().data()
            };
            assert!(is_of(n, View::First, index));
            let source = (0..23).find(|&image| is_of(n + 7, View::Second, image));
            chosen[index][source.unwrap()] += 1;
        }
    }
    for (index, counts) in chosen.iter().enumerate() {
        let near = |image: usize| {
            let same_hole = image / 10 == index / 10 && image < 20;
            image == index || (same_hole && image.abs_diff(index) <= 2)
        };
        let draws: usize = counts.iter().sum();
        let neighbours = (0..23).filter(|&image| near(image)).count();
        for (image, &count) in counts.iter().enumerate() {
            let expected = if near(image) {
                draws as f64 / neighbours as f64
            } else {
                0.0
            };
            // Five standard deviations of a multinomial count.
            let slack = 5.0 * expected.sqrt();
            let off = (count as f64 - expected).abs();
            assert!(off <= slack, "{image} for {index}: {count} of {draws}");
        }
    }
}

#[test]
fn guided_batches_depend_on_neither_threads_nor_shards_nor_the_start() {
    let guidance = DepthGuidance::default()
        .with_positive_radius(Some(0.2))
        .with_negative_distance(Some(0.25));
    let batches = |config: LoaderConfig, steps| -> Vec<_> {
        let loader = guided(config, guidance).unwrap();
        let batches = loader.batches(steps).unwrap().map(Result::unwrap);
        batches
            .map(|b| (values(&b), b.near_views.unwrap()))
            .collect()
    };
    let whole = LoaderConfig::default()
        .with_batch_size(8)
        .with_seed(SEED)
        .with_last_batch(LastBatch::WrapAcrossEpochs);
    let expected = batches(whole, 0..6);
    assert!(batches(whole.with_threads(Some(3)).with_cache_bytes(1 << 20), 0..6) == expected);
    assert!(batches(whole, 4..6) == expected[4..]);
    let shards = [0, 1].map(|index| batches(whole.with_shard(Shard { index, count: 2 }), 0..6));
    for (step, (views, near)) in expected.iter().enumerate() {
        let [(a, near_a), (b, near_b)] = [&shards[0][step], &shards[1][step]];
        let half = a.len() / 2;
        let joined = [&a[..half], &b[..half], &a[half..], &b[half..]].concat();
        assert!(joined == *views, "step {step}");
        assert!(near_a == near && near_b == near && !near.is_empty());
    }
}

#[test]
fn depths_that_cannot_guide_are_refused() {
    let refused = |guidance: DepthGuidance, expected: &str| {
        let error = guided(config(1, 1, 0), guidance).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let guidance = DepthGuidance::default();
    refused(
        guidance.with_positive_radius(Some(0.05)),
        "at least 0.1000 m",
    );
    refused(
        guidance.with_negative_distance(Some(-1.0)),
        "negative_distance",
    );
    let config = config(1, 1, 0).with_depth_guidance(guidance.with_positive_radius(Some(1.0)));
    let without = ViewLoader::new(pictures(9), Policy::paper(8), config).unwrap_err();
    assert!(
        without.to_string().contains("none for 9 images"),
        "{without}"
    );
}
