//! What happens to a run when files are damaged or missing: it says which, loses nothing,
//! and goes on once they are repaired.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use simclr::data::{SyntheticCores, save_png};
use simclr::model::Stem;
use simclr::prelude::*;
use simclr_testkit::seeds;

fn pretrain(epochs: usize) -> Pretrain {
    let mut config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(8)
        .with_seed(Seed(seeds::WEIGHTS));
    config.schedule = config
        .schedule
        .clone()
        .with_epochs(epochs)
        .with_warmup_epochs(0.0);
    config.encoder.stem = Stem::ImageNet;
    Pretrain::new(config)
}

/// Sixteen cores as files, and the last of them.
fn cores(dir: &Path) -> (ImageFolder, PathBuf) {
    let cores = SyntheticCores::new(16, 32, Seed(seeds::INPUTS)).unwrap();
    fs::create_dir_all(dir).unwrap();
    let path = |index: usize| dir.join(format!("core{index:02}.png"));
    for index in 0..16 {
        save_png(&cores.decode(index).unwrap(), path(index)).unwrap();
    }
    (ImageFolder::unlabelled(dir).unwrap(), path(15))
}

/// All files below a folder, hidden ones included.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn a_run_goes_on_after_a_damaged_image_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let (images, last) = cores(&dir.path().join("cores"));
    let whole = pretrain(2)
        .run(images.shared(), dir.path().join("whole"))
        .unwrap();

    let good = fs::read(&last).unwrap();
    fs::write(&last, &good[..good.len() / 2]).unwrap();
    let run = dir.path().join("run");
    let error = pretrain(2)
        .run(images.shared(), &run)
        .unwrap_err()
        .to_string();
    assert!(error.contains("core15.png"), "{error}");
    // No result, no network, and nothing half-written.
    assert!(!run.join("result.json").exists() && !run.join("model.safetensors").exists());
    let temporary = |path: &PathBuf| path.to_string_lossy().ends_with(".tmp");
    assert!(!files(&run).iter().any(temporary), "{:?}", files(&run));

    fs::write(&last, good).unwrap();
    let repaired = pretrain(2).run(images.shared(), &run).unwrap();
    assert_eq!(repaired.result.steps, whole.result.steps);
    assert!(fs::read(&repaired.model_file).unwrap() == fs::read(&whole.model_file).unwrap());
}

/// What may be wrong with an image file, and what to put in its place.
enum Damage {
    Content(Vec<u8>),
    Gone,
    #[cfg(unix)]
    LinkToNowhere,
}

fn damages(good: &[u8]) -> Vec<(&'static str, Damage)> {
    let jpeg = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8, y as u8, 7]));
        image
            .write_to(&mut bytes, image::ImageFormat::Jpeg)
            .unwrap();
        bytes.into_inner()
    };
    vec![
        (
            "truncated PNG",
            Damage::Content(good[..good.len() / 2].to_vec()),
        ),
        (
            "truncated JPEG",
            Damage::Content(jpeg[..jpeg.len() / 2].to_vec()),
        ),
        ("header alone", Damage::Content(good[..8].to_vec())),
        ("text", Damage::Content(b"this is no image".to_vec())),
        ("emptied", Damage::Content(Vec::new())),
        ("gone", Damage::Gone),
        #[cfg(unix)]
        ("unreadable", Damage::LinkToNowhere),
    ]
}

fn apply(damage: &Damage, path: &Path) {
    fs::remove_file(path).unwrap();
    match damage {
        Damage::Content(bytes) => fs::write(path, bytes).unwrap(),
        Damage::Gone => {}
        #[cfg(unix)]
        Damage::LinkToNowhere => {
            std::os::unix::fs::symlink(path.with_extension("nowhere"), path).unwrap();
        }
    }
}

#[test]
fn every_kind_of_damage_stops_a_run_with_the_name_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (images, last) = cores(&dir.path().join("cores"));
    let good = fs::read(&last).unwrap();
    for (kind, damage) in damages(&good) {
        // The folder was listed when the file was still good.
        apply(&damage, &last);
        let run = dir.path().join(kind);
        let error = pretrain(2).run(images.shared(), &run).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("core15.png"), "{kind}: {error}");
        for file in ["result.json", "model.safetensors"] {
            assert!(!run.join(file).exists(), "{kind}: {file}");
        }
        let half = |path: &PathBuf| path.to_string_lossy().ends_with(".tmp");
        assert!(!files(&run).iter().any(half), "{kind}: {:?}", files(&run));
        if last.symlink_metadata().is_ok() {
            fs::remove_file(&last).unwrap();
        }
        fs::write(&last, &good).unwrap();
    }
}

#[test]
fn damaged_files_are_left_out_on_request_counted_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cores");
    let (_, last) = cores(&folder);
    let good = fs::read(&last).unwrap();
    let (mut unreadable, mut empty) = (0, 0);
    for (index, (_, damage)) in damages(&good).iter().enumerate() {
        if let Damage::Content(bytes) = damage {
            fs::write(folder.join(format!("damaged{index}.png")), bytes).unwrap();
            match bytes.is_empty() {
                true => empty += 1,
                false => unreadable += 1,
            }
        }
    }
    let images = ImageFolder::builder(&folder)
        .skip_unreadable(true)
        .open()
        .unwrap();
    let report = images.report();
    assert_eq!((images.len(), empty), (16, 1));
    assert_eq!(
        (report.unreadable.len(), report.empty.len()),
        (unreadable, empty)
    );
    let listed = report.unreadable.iter().map(|(path, _)| path);
    let listed: Vec<&PathBuf> = listed.chain(&report.empty).collect();
    for index in 0..unreadable + empty {
        let name = format!("damaged{index}.png");
        assert!(
            listed.iter().any(|path| path.ends_with(&name)),
            "{name}: {listed:?}"
        );
    }
    let text = report.to_string();
    assert!(
        text.contains(&format!("left out {unreadable} files unreadable")),
        "{text}"
    );
    let run = pretrain(1)
        .run(images.shared(), dir.path().join("run"))
        .unwrap();
    assert_eq!(run.result.images, 16);
}

#[test]
fn a_class_without_images_is_named() {
    let dir = tempfile::tempdir().unwrap();
    cores(&dir.path().join("none"));
    fs::create_dir(dir.path().join("soupy")).unwrap();
    let error = ImageFolder::labelled(dir.path()).unwrap_err().to_string();
    assert!(error.contains("class 'soupy' has no images"), "{error}");
}

#[test]
fn a_run_folder_with_another_networks_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let run = dir.path().join("run");
    pretrain(1).run(images.shared(), &run).unwrap();
    // The newest checkpoint is replaced by one of a deeper network.
    let mut deeper = pretrain(1).config().clone();
    deeper.encoder.depth = 34;
    let other = Pretrain::new(deeper)
        .run(images.shared(), dir.path().join("deeper"))
        .unwrap();
    let checkpoint = "checkpoints/step-00000002.safetensors";
    fs::copy(other.dir.join(checkpoint), run.join(checkpoint)).unwrap();
    let error = pretrain(1).run(images.shared(), &run).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("step-00000002.safetensors")
            && text.contains("another architecture")
            && text.contains("34"),
        "{text}"
    );
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let run = dir.path().join("run");
    pretrain(2).run(images.shared(), &run).unwrap();
    let kept = ["metrics.csv", "model.safetensors"].map(|file| fs::read(run.join(file)).unwrap());
    for file in ["result.json", "model.safetensors"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let [first, newest] =
        ["02", "04"].map(|step| run.join(format!("checkpoints/step-000000{step}.safetensors")));
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 3]).unwrap();

    pretrain(2).run(images.shared(), &run).unwrap();
    assert!(fs::read(&newest).unwrap() == bytes);
    let aside = newest.with_extension("safetensors.set-aside");
    assert_eq!(fs::read(aside).unwrap().len(), bytes.len() / 3);
    for (file, expected) in ["metrics.csv", "model.safetensors"].iter().zip(kept) {
        assert!(fs::read(run.join(file)).unwrap() == expected, "{file}");
    }

    // A checkpoint under another's name, and none that can be used.
    fs::copy(&first, &newest).unwrap();
    fs::write(&first, "").unwrap();
    let error = pretrain(2)
        .run(images.shared(), &run)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("after 2 steps, which its name does not say"),
        "{error}"
    );
    assert!(error.contains("step-00000002.safetensors"), "{error}");
}

#[test]
fn networks_that_are_no_networks_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.safetensors");
    let error = Encoder::load(&missing, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
    for (name, content) in [
        ("empty.safetensors", &b""[..]),
        (
            "text.safetensors",
            b"these are not the weights you are looking for",
        ),
        ("picture.safetensors", b"\x89PNG\r\n\x1a\n"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = Encoder::load(&path, &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = simclr::eval::NetworkClassifier::load(&missing, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
}

#[test]
fn a_network_without_classes_is_no_teacher() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let run = pretrain(1)
        .run(images.shared(), dir.path().join("run"))
        .unwrap();
    let error = simclr::eval::NetworkClassifier::load(&run.model_file, &Device::Cpu).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("model.safetensors") && text.contains("no supervised head"),
        "{text}"
    );
}

#[test]
fn images_too_small_for_the_encoder_are_refused_with_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let encoder = pretrain(1).untrained().unwrap();
    let error = Features::extract(&encoder, images.shared(), &Policy::probe(3)).unwrap_err();
    assert!(error.to_string().contains("3 x 3"), "{error}");
}
