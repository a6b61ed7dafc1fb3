//! The original's command lines run as pasted.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use clap::Parser;
use simclr::data::save_png;
use simclr::prelude::*;

use simclr_cli::original::{Flags, arguments, run, run_words};

/// The README's example of pretraining, with fewer epochs on smaller images and networks.
const PRETRAIN: &str = "python run.py --mode=train_then_eval --train_mode=pretrain \
    --train_batch_size=16 --train_epochs=1 --sk_ratio=0 --learning_rate=1.0 --weight_decay=1e-4 \
    --temperature=0.5 --dataset=imagenet2012 --image_size=32 --eval_split=validation \
    --resnet_depth=18 --use_blur=False --color_jitter_strength=0.5 --width_multiplier=1 \
    --use_tpu=False --num_of_classes=10";

/// Its example of fine-tuning, likewise.
const FINE_TUNE: &str = "--mode=train_then_eval --train_mode=finetune --train_batch_size=16 \
    --train_epochs=2 --sk_ratio=0 --learning_rate=0.01 --weight_decay=1e-4 --temperature=0.5 \
    --dataset=imagenet2012 --image_size=32 --eval_split=validation --resnet_depth=18 \
    --use_blur=False --color_jitter_strength=0.5 --width_multiplier=1 --use_tpu=False \
    --num_of_classes=10 --fine_tune_after_block=-1 --labels=yep";

fn flags(line: &str, more: &[(&str, &Path)]) -> Flags {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    words.insert(0, "simclr_run".to_owned());
    words.extend(
        more.iter()
            .map(|(flag, path)| format!("--{flag}={}", path.display())),
    );
    Flags::try_parse_from(arguments(words)).unwrap()
}

fn class_folders(dir: &Path) {
    let cores = SyntheticCores::new(40, 32, Seed(1)).unwrap();
    for index in 0..cores.len() {
        let class = dir.join(["crack", "none"][index % 2]);
        fs::create_dir_all(&class).unwrap();
        let path = class.join(format!("core{index:02}.png"));
        save_png(&cores.decode(index).unwrap(), path).unwrap();
    }
}

#[test]
fn the_commands_of_the_readme_run() {
    let dir = tempfile::tempdir().unwrap();
    let (images, pretrained, tuned) = (
        dir.path().join("images"),
        dir.path().join("a"),
        dir.path().join("b"),
    );
    class_folders(&images);
    let pretrain = flags(
        PRETRAIN,
        &[("image_dir", &images), ("model_dir", &pretrained)],
    );
    run(&pretrain, ProgressMode::Silent).unwrap();
    // Without labels there is no head to be evaluated.
    assert!(!pretrained.join("evaluation.json").exists());

    let network = pretrained.join("model.safetensors");
    let places = [
        ("image_dir", &*images),
        ("model_dir", &tuned),
        ("checkpoint", &network),
    ];
    run(&flags(FINE_TUNE, &places), ProgressMode::Silent).unwrap();
    let figures = fs::read_to_string(tuned.join("evaluation.json")).unwrap();
    assert!(figures.contains("label_top_1_accuracy") && figures.contains("\"images\": 40"));

    // The linear probe of `TF2_finetuning.py`.
    let data = dir.path().join("data");
    for part in ["training", "validation", "testing"] {
        class_folders(&data.join(part));
    }
    let out = dir.path().join("probe.csv");
    let words = ["simclr_run", "python", "TF2_finetuning_params.py"].map(str::to_owned);
    let paths = [&network, &data].map(|path| path.display().to_string());
    let more = format!("10 --image-size 32 --epochs 3 --out {}", out.display());
    let more = more.split_whitespace().map(str::to_owned);
    run_words(
        words.into_iter().chain(paths).chain(more).collect(),
        ProgressMode::Silent,
    )
    .unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);

    // Checkpoints by steps take the place of those by epochs, which end after 2, 5, 7 and 10 steps.
    let by_steps = PRETRAIN.replace("train_epochs=1", "train_epochs=4");
    let by_steps = format!("{by_steps} --checkpoint_steps=3");
    let by_steps_places = [
        ("image_dir", &*images),
        ("model_dir", &dir.path().join("c")),
    ];
    run(&flags(&by_steps, &by_steps_places), ProgressMode::Silent).unwrap();
    let names = fs::read_dir(dir.path().join("c/checkpoints")).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut steps: Vec<_> = names.filter(|name| name.starts_with("step-")).collect();
    steps.sort();
    let expected = [3, 6, 9, 10].map(|step| format!("step-{step:08}.safetensors"));
    assert_eq!(steps, expected);

    // A network of another form is refused, and so are labels at random.
    let other = FINE_TUNE.replace("resnet_depth=18", "resnet_depth=34");
    let error = run(&flags(&other, &places), ProgressMode::Silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains("found ResNet-18"), "{error}");
    let random = FINE_TUNE.replace(" --labels=yep", "");
    let error = run(&flags(&random, &places), ProgressMode::Silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains("--labels=yep"), "{error}");
}

#[test]
fn the_reference_command_of_cifar_10_is_the_preset() {
    let line = "--mode=train_then_eval --train_mode=pretrain --train_batch_size=512 \
        --train_epochs=1000 --learning_rate=1.0 --weight_decay=1e-4 --temperature=0.5 \
        --dataset=cifar10 --image_size=32 --eval_split=test --resnet_depth=18 --use_blur=False \
        --color_jitter_strength=0.5 --use_tpu=False";
    assert_eq!(
        flags(line, &[]).pretrain_config(),
        simclr::study::paper::cifar10()
    );
}

#[test]
fn flags_are_read_as_absl_reads_them() {
    let defaults = flags("", &[]).pretrain_config();
    assert_eq!((defaults.batch_size, defaults.schedule.epochs), (512, 100));
    assert_eq!(
        (defaults.schedule.learning_rate, defaults.weight_decay),
        (0.3, 1e-6)
    );
    assert_eq!(defaults.loss.temperature, 0.1);
    assert!(defaults.policy.blur.is_some());

    for line in [
        "--use_blur=False",
        "--nouse_blur",
        "--use-blur=0",
        "-use_blur=no",
    ] {
        assert!(
            flags(line, &[]).pretrain_config().policy.blur.is_none(),
            "{line}"
        );
    }
    let line = "--use_blur --train_steps 77 --ft_proj_selector=-1 --proj_head_mode=linear \
                --fine_tune_after_block=2";
    let config = flags(line, &[]).pretrain_config();
    assert!(config.policy.blur.is_some());
    assert_eq!(config.schedule.steps, Some(77));
    assert_eq!(config.projection_head.fine_tune_from, (-1).into());
    assert_eq!(config.freeze, Freeze::AfterBlockOriginal(2));
    let unknown = arguments(["simclr_run", "--learning_rat=1"].map(str::to_owned));
    assert!(Flags::try_parse_from(unknown).is_err());
}
