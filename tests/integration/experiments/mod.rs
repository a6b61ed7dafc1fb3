//! The six experiments in a small form, as the examples run them: each ends with a report,
//! and its figures are what they should be.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::Value;
use simclr::data::{SyntheticCores, save_png};
use simclr::optim::{AdamConfig, OptimizerConfig};
use simclr::prelude::*;
use simclr::study::{Study, paper};
use simclr_cli::experiments::{exp1, exp2, exp3, exp4, exp5, exp6, fine_tune};

mod outputs;

use outputs::Outputs;

/// The options of a run in `dir` on some synthetic cores.
fn options(dir: &Path, more: &str) -> Vec<String> {
    let model_dir = dir.display().to_string();
    let fixed = ["experiment", "--preset", "tiny", "--model-dir"].map(str::to_owned);
    let words = more.split_whitespace();
    let options = fixed.into_iter().chain([model_dir]);
    options.chain(words.map(str::to_owned)).collect()
}

/// Where learning from labels has to show.
const ENOUGH: &str = "--synthetic-images 240";
/// Where only what comes out is looked at: self-supervision sees 90 images.
const FEW: &str = "--synthetic-images 120";

/// How many folds the preset has.
const FOLDS: usize = 3;

/// The baseline of every experiment, and the same network as it was initialised.
const UNTRAINED: &str = Study::UNTRAINED;
const PLAIN: &str = Study::UNTRAINED_PLAIN;

#[test]
fn experiment_1_probes_a_network_that_learned_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let more = format!("{FEW} --label-fraction 1,0.25");
    let arguments = exp1::Arguments::parse_from(options(dir.path(), &more));
    exp1::run(arguments, ProgressMode::Silent).unwrap();
    let methods = [UNTRAINED, PLAIN, "stand-in, self-supervised"];
    let outputs = Outputs::read(dir.path(), &methods, FOLDS, 2);
    assert!(
        outputs.page.contains("is a stand-in"),
        "the report does not say so"
    );
    assert!(outputs.page.contains("Its contrastive loss fell from"));
}

#[test]
fn experiment_2_goes_on_from_a_network_with_blocks_frozen() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--fine-tune-after-block -1,3 --train-epochs 1 --label-fraction 1";
    let more = format!("{FEW} {more}");
    let arguments = exp2::Arguments::parse_from(options(dir.path(), &more));
    exp2::run(arguments, ProgressMode::Silent).unwrap();
    let methods = [
        UNTRAINED,
        PLAIN,
        "stand-in, self-supervised",
        "continued, nothing frozen",
        "continued, frozen up to block group 3",
    ];
    let outputs = Outputs::read(dir.path(), &methods, FOLDS, 1);
    assert!(outputs.page.contains("Loss: continued, nothing frozen"));
    // The cells name the networks that were evaluated: five different ones.
    let cells = fs::read_dir(dir.path().join("cells")).unwrap();
    let networks = cells.map(|cell| {
        let cell = fs::read_to_string(cell.unwrap().path()).unwrap();
        let cell: Value = serde_json::from_str(&cell).unwrap();
        cell["model_fingerprint"].as_str().unwrap().to_owned()
    });
    assert_eq!(networks.collect::<BTreeSet<_>>().len(), 5);
}

#[test]
fn experiment_2_starts_from_a_training_checkpoint_whatever_its_optimizer() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = paper::tiny(paper::experiment_3()).pretrain;
    config.optimizer = OptimizerConfig::Adam(AdamConfig::default());
    config.schedule.epochs = 1;
    config.batch_size = 10;
    let cores = SyntheticCores::new(10, 32, Seed(1)).unwrap();
    let [checkpoint, other] = [1, 2].map(|seed| {
        config.seed = Seed(seed);
        let run = dir.path().join(format!("adam-{seed}"));
        let pretrain = Pretrain::new(config.clone());
        pretrain.run(cores.shared(), &run).unwrap();
        run.join("checkpoints/step-00000001.safetensors")
    });

    let study = dir.path().join("study");
    let run = |checkpoint: &Path| {
        let more = "--fine-tune-after-block 3 --train-epochs 1 --label-fraction 1";
        let more = format!("{FEW} {more} --checkpoint {}", checkpoint.display());
        let arguments = exp2::Arguments::parse_from(options(&study, &more));
        exp2::run(arguments, ProgressMode::Silent)
    };
    run(&checkpoint).unwrap();
    let methods = [
        UNTRAINED,
        PLAIN,
        "transfer, self-supervised",
        "continued, frozen up to block group 3",
    ];
    Outputs::read(&study, &methods, FOLDS, 1);

    // Another network is refused before the record or the report knows of it.
    let manifest = study.join("manifest.json");
    let recorded = fs::read_to_string(&manifest).unwrap();
    let error = run(&other).unwrap_err().to_string();
    assert!(
        error.contains("start network") && error.contains("options: --checkpoint"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&manifest).unwrap(), recorded);

    // A record of an earlier version does not name the network; the study goes on all the same.
    let mut earlier: Value = serde_json::from_str(&recorded).unwrap();
    let fields = earlier.as_object_mut().unwrap();
    fields.remove("format_version");
    fields.remove("sha256");
    let digests = fields["digests"].as_object_mut().unwrap();
    assert!(digests.remove("start network").is_some());
    fs::write(&manifest, earlier.to_string()).unwrap();
    run(&checkpoint).unwrap();
    let error = run(&other).unwrap_err().to_string();
    assert!(error.contains("another network"), "{error}");
}

#[test]
fn experiment_3_resumes_without_computing_anything_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        let more = format!("{FEW} --train-epochs 2 --label-fraction 1,0.25");
        let arguments = exp3::Arguments::parse_from(options(dir.path(), &more));
        exp3::run(arguments, ProgressMode::Silent).unwrap();
        let methods = [UNTRAINED, PLAIN, "self-supervised on the task"];
        Outputs::read(dir.path(), &methods, FOLDS, 2)
    };
    let first = run();
    // Nothing is computed again: a cell with one more line end, which says the same, stays.
    let cell = dir
        .path()
        .join("cells/untrained-calibrated_seed-1_fold-1_labels-1.json");
    let changed = fs::read_to_string(&cell).unwrap() + "\n";
    fs::write(&cell, &changed).unwrap();
    let second = run();
    assert_eq!(fs::read_to_string(&cell).unwrap(), changed);
    assert_eq!(second.accuracies(UNTRAINED), first.accuracies(UNTRAINED));
}

#[test]
fn parts_of_a_study_make_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run = |dir: &Path, more: &str| {
        let more = format!("{FEW} --train-epochs 1 --label-fraction 1 {more}");
        exp3::run(
            exp3::Arguments::parse_from(options(dir, &more)),
            ProgressMode::Silent,
        )
        .unwrap();
    };
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    run(&whole, "");
    run(&parts, "--cell 2/2");
    assert!(!parts.join("report.html").exists());
    run(&parts, "--cell 1/2");
    let methods = [UNTRAINED, PLAIN, "self-supervised on the task"];
    let [whole, together] = [&whole, &parts].map(|dir| Outputs::read(dir, &methods, FOLDS, 1));
    assert_eq!(whole.results["cells"], together.results["cells"]);
    assert!(!parts.join("part-1-of-2").exists());
    let again = options(&parts, &format!("{FEW} --cell 1/2"));
    let error = exp3::run(exp3::Arguments::parse_from(again), ProgressMode::Silent).unwrap_err();
    assert!(error.to_string().contains("without part 1/2"), "{error}");
}

#[test]
fn experiment_4_draws_a_curve_over_unlabelled_images() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--unlabelled-fraction 0.6,1 --train-epochs 1 --label-fraction 1 --same-epochs";
    let more = format!("{FEW} --enlarge flips --gradient-checkpointing {more}");
    let arguments = exp4::Arguments::parse_from(options(dir.path(), &more));
    exp4::run(arguments, ProgressMode::Silent).unwrap();
    let methods = [
        UNTRAINED,
        PLAIN,
        "self-supervised on 54 images",
        "self-supervised on 90 images",
    ];
    let outputs = Outputs::read(dir.path(), &methods, FOLDS, 1);
    assert!(
        outputs
            .page
            .contains("Accuracy over the number of unlabelled images")
    );
    // Copies are not counted above.
    assert!(outputs.page.contains("3 augmented copies each: mirrored"));
}

#[test]
fn experiment_5_tells_one_class_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--binary none --split single --label-fraction 1 --seeds 3";
    let more = format!("{ENOUGH} {more}");
    let arguments = exp5::Arguments::parse_from(options(dir.path(), &more));
    exp5::run(arguments, ProgressMode::Silent).unwrap();
    // Three seeds instead of three folds.
    let methods = [UNTRAINED, PLAIN, "stand-in, supervised"];
    let outputs = Outputs::read(dir.path(), &methods, FOLDS, 1);
    // The report says what the stand-in has learned.
    assert!(outputs.page.contains("It tells their 10 kinds apart in"));
    // One class in ten is `none`.
    assert!(outputs.accuracies(UNTRAINED)[0] > 0.7);
    let baselines = "chance 50.0\u{a0}%, majority class (always &quot;other&quot;) 90.0\u{a0}%.";
    assert!(outputs.page.contains(baselines));
    assert!(outputs.page.contains("none: AP "));
}

#[test]
fn experiment_6_compares_all_methods_on_both_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let more = "--folds 2 --train-epochs 1 --supervised-epochs 1 --label-fraction 1,0.25";
    let more = format!("{FEW} {more} --fine-tune 3 --fine-tune-epochs 1");
    let arguments = exp6::Arguments::parse_from(options(dir.path(), &more));
    exp6::run(arguments, ProgressMode::Silent).unwrap();
    let methods = [
        UNTRAINED,
        PLAIN,
        "supervised from scratch",
        "stand-in, supervised",
        "self-supervised on the task",
        "stand-in, supervised, fine-tuned, frozen up to block group 3",
        "self-supervised on the task, fine-tuned, frozen up to block group 3",
    ];
    let all = Outputs::read(dir.path(), &methods, 2, 2);
    let binary = Outputs::read(&dir.path().join("binary"), &methods, 2, 2);
    for method in [methods[0], methods[3], methods[4]] {
        // Nine in ten are not `none`, so the binary task is the easier one.
        assert!(
            binary.accuracies(method)[0] > all.accuracies(method)[0],
            "{method}"
        );
    }
    assert!(all.page.contains("Accuracy over the fraction of labels"));
    for outputs in [&all, &binary] {
        assert!(
            outputs.page.contains("is a stand-in"),
            "a report does not say so"
        );
    }
}

#[test]
fn fine_tuning_changes_a_network_that_frozen_features_leave_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let more =
        format!("{ENOUGH} --label-fraction 1 --fine-tune -1,4:original --fine-tune-epochs 8");
    let arguments = fine_tune::Arguments::parse_from(options(dir.path(), &more));
    fine_tune::run(arguments, ProgressMode::Silent).unwrap();
    let whole = "stand-in, self-supervised, fine-tuned";
    let methods = [
        UNTRAINED,
        PLAIN,
        "stand-in, self-supervised",
        whole,
        "stand-in, self-supervised, fine-tuned, frozen up to block group 4, original batch norm",
        "supervised from scratch",
    ];
    let outputs = Outputs::read(dir.path(), &methods, FOLDS, 1);
    // Chance is 10 %.
    let accuracy = outputs.accuracies(whole)[0];
    assert!(accuracy > 0.2, "{accuracy}");
}

#[test]
fn experiment_2_has_three_presets() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display().to_string();
    for (preset, batch_size, freeze) in [
        ("paper", 128, "1:original 2:original 3:original 4:original"),
        ("readme", 256, "-1 0 1 2 3"),
        ("recommended", 32, "1"),
    ] {
        let words = ["experiment", "--preset", preset, "--model-dir", &dir];
        let protocol = exp2::protocol(&exp2::Arguments::parse_from(words)).unwrap();
        assert_eq!(protocol.pretrain.batch_size, batch_size, "{preset}");
        let flags: Vec<String> = protocol.freeze.iter().map(Freeze::to_string).collect();
        assert_eq!(flags.join(" "), freeze, "{preset}");
    }
    let words = ["experiment", "--preset", "readme", "--model-dir", &dir];
    let error = exp3::run(exp3::Arguments::parse_from(words), ProgressMode::Silent).unwrap_err();
    assert!(error.to_string().contains("experiment 2's"), "{error}");
}

#[test]
fn a_class_that_is_not_there_is_noticed_before_the_work_begins() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        exp6::Arguments::parse_from(options(dir.path(), &format!("{FEW} --binary nobody")));
    let error = exp6::run(arguments, ProgressMode::Silent)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("'nobody'") && error.contains("soupy"),
        "{error}"
    );
    assert!(!dir.path().join("stand-in").exists());
}

#[test]
fn the_report_says_which_files_and_copies_of_test_images_were_left_out() {
    const COPIES: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("cores");
    let cores = SyntheticCores::new(120, 32, Seed(1)).unwrap();
    for index in 0..cores.len() {
        let class = images.join(["crack", "none"][index % 2]);
        fs::create_dir_all(&class).unwrap();
        let path = class.join(format!("core{index:03}.png"));
        save_png(&cores.decode(index).unwrap(), &path).unwrap();
        if index < COPIES {
            let copy = dir.path().join(format!("more/core{index:03}.png"));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(path, copy).unwrap();
        }
    }
    fs::write(images.join("crack/empty.png"), []).unwrap();
    fs::write(images.join("none/damaged.png"), b"no picture").unwrap();

    let run = |more: &str| {
        let more = format!("--image-dir {} --label-fraction 1 {more}", images.display());
        let more = format!("{more} --train-batch-size 45 --train-epochs 1 --unlabelled-dir");
        let more = format!("{more} {}", dir.path().join("more").display());
        exp3::run(
            exp3::Arguments::parse_from(options(&dir.path().join("run"), &more)),
            ProgressMode::Silent,
        )
    };
    let error = run("").unwrap_err().to_string();
    assert!(error.contains("damaged.png"), "{error}");
    run("--skip-unreadable").unwrap();
    let page = fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    for file in ["empty.png", "damaged.png"] {
        assert!(page.contains(file), "{file} is not in the report");
    }
    let splits = fs::read_to_string(dir.path().join("run/splits.csv")).unwrap();
    let count = |part: &str| splits.matches(part).count();
    let left_out = count(",unlabelled,copy of a test image,");
    let tested = (0..COPIES).map(|index| count(&format!("core{index:03}.png,labelled,test,1,")));
    assert_eq!(left_out, tested.sum::<usize>());
    assert!(left_out > 0);
    let sentence = format!("Self-supervision did not see {left_out} of the {COPIES} images");
    assert!(page.contains(&sentence), "{sentence}");
    // It trained on the others.
    let manifest = dir.path().join("run/seed-1/pretrain/manifest.json");
    let manifest = fs::read_to_string(manifest).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let own = count(",labelled,train,1,") + count(",labelled,validation,1,");
    let images = manifest["datasets"]["unlabelled"]["images"]
        .as_u64()
        .unwrap();
    assert_eq!(images as usize, own + COPIES - left_out);

    let error = run("--skip-unreadable --duplicates ignore")
        .unwrap_err()
        .to_string();
    assert!(error.contains("--duplicates"), "{error}");
}

#[test]
fn what_is_missing_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["experiment".to_owned(), "--model-dir".into()];
    let dir = dir.path().display().to_string();
    let arguments = exp5::Arguments::parse_from(arguments.into_iter().chain([dir]));
    let error = exp5::run(arguments, ProgressMode::Silent)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("give --image-dir") && error.contains("--preset tiny"),
        "{error}"
    );
}

#[test]
fn options_that_would_not_be_used_are_refused() {
    type Run = dyn Fn(Vec<String>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
    let dir = tempfile::tempdir().unwrap();
    let study = dir.path().join("study");
    let refused = |more: &str, run: &Run| {
        let error = run(options(&study, more)).unwrap_err().to_string();
        assert!(!study.exists(), "{more} left something behind");
        error
    };
    let exp3 = |options: Vec<String>| {
        exp3::run(exp3::Arguments::parse_from(options), ProgressMode::Silent)
    };
    let error = refused("--checkpoint net.safetensors", &exp3);
    assert!(error.contains("starts from scratch"), "{error}");
    let error = refused("--fine-tune-after-block 1,2", &exp3);
    assert!(error.contains("only experiment 2"), "{error}");
    let error = refused("--unlabelled-fraction 0.5,1", &exp3);
    assert!(error.contains("only experiment 4"), "{error}");
    let error = refused("--train-epochs 0", &exp3);
    assert!(error.contains("epochs: expected at least 1"), "{error}");
    let error = refused("--optimizer adam --momentum 0.5", &exp3);
    assert!(error.contains("--momentum"), "{error}");
    let error = refused("--split single --folds 5", &exp3);
    assert!(error.contains("small-train and large-train"), "{error}");
    for option in [
        "--group-by ^U",
        "--unlabelled-dir more",
        "--skip-unreadable",
    ] {
        let error = refused(option, &exp3);
        let name = option.split(' ').next().unwrap();
        assert!(
            error.starts_with(name) && error.contains("synthetic"),
            "{error}"
        );
    }
    for option in [
        "--fine-tune-epochs 3",
        "--fine-tune-learning-rate 0.1",
        "--fine-tune-batch-size 8",
        "--fine-tune-adam",
        "--ft-proj-selector 1",
    ] {
        let error = refused(option, &exp3);
        let name = option.split(' ').next().unwrap();
        assert!(
            error.starts_with(&format!("{name} needs --fine-tune,")),
            "{error}"
        );
    }
    let exp2 = |options: Vec<String>| {
        exp2::run(exp2::Arguments::parse_from(options), ProgressMode::Silent)
    };
    let error = refused("--unlabelled-fraction 0.5,1", &exp2);
    assert!(error.contains("only experiment 4"), "{error}");
    let exp5 = |options: Vec<String>| {
        exp5::run(exp5::Arguments::parse_from(options), ProgressMode::Silent)
    };
    let error = refused("--unlabelled-dir more", &exp5);
    assert!(error.contains("--unlabelled-dir"), "{error}");
    let error = refused("--checkpoint missing.safetensors", &exp5);
    assert!(error.contains("missing.safetensors"), "{error}");
    let exp6 = |options: Vec<String>| {
        exp6::run(exp6::Arguments::parse_from(options), ProgressMode::Silent)
    };
    let error = refused("--binary unknown", &exp6);
    assert!(error.contains("unknown"), "{error}");
    for option in ["--supervised-epochs 3", "--supervised-adam"] {
        let options = options(&study, &format!("--without-supervised {option}"));
        let error = exp6::Arguments::try_parse_from(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{error}");
        let (error, name) = (error.to_string(), option.split(' ').next().unwrap());
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn what_cannot_work_is_refused_before_the_first_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let refused = |dir: &Path, more: &str| {
        let options = options(dir, &format!("--synthetic-images 120 {more}"));
        let arguments = exp3::Arguments::try_parse_from(options);
        let error = match arguments {
            Ok(arguments) => exp3::run(arguments, ProgressMode::Silent)
                .unwrap_err()
                .to_string(),
            Err(error) => error.to_string(),
        };
        assert!(!dir.exists(), "{more} left something behind: {error}");
        error
    };
    for (more, expected) in [
        ("--train-batch-size 512", "at most 90"),
        (
            "--train-batch-size 60 --unlabelled-fraction 0.5",
            "at most 45",
        ),
        (
            "--train-epochs 18446744073709551615",
            "epochs: expected at most",
        ),
        (
            "--image-size 16777216",
            "size must be at most 67108864 pixels",
        ),
        ("--seeds 1000000000", "1..=1000"),
        (
            "--seed 18446744073709551615 --seeds 2",
            "--seed is too large",
        ),
        ("--weight-decay=-1", "weight decay"),
        ("--momentum 1", "momentum"),
        ("--batch-norm-decay 2", "batch_norm_decay"),
        ("--unlabelled-fraction 0", "unlabelled_fractions"),
        ("--label-fraction 1.5", "label_fractions"),
        ("--keep-checkpoint-max 1", "at least 2"),
        ("--checkpoint-minutes=-3", "0 or more"),
        ("--fine-tune-after-block 9", "9"),
        ("--width-multiplier 1000000000", "width_multiplier"),
    ] {
        let error = refused(&run, more);
        assert!(error.contains(expected), "{more}: {error}");
    }

    // Nor may the run lie among the images, by whatever way.
    let images = dir.path().join("cores");
    let cores = SyntheticCores::new(60, 32, Seed(1)).unwrap();
    for index in 0..cores.len() {
        let class = images.join(["crack", "none"][index % 2]);
        fs::create_dir_all(&class).unwrap();
        save_png(
            &cores.decode(index).unwrap(),
            class.join(format!("{index}.png")),
        )
        .unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(&images, dir.path().join("link")).unwrap();
    for place in [
        "cores/run",
        "cores/new/run",
        "cores/crack/../run",
        #[cfg(unix)]
        "link/run",
    ] {
        let place = dir.path().join(place);
        let words = options(&place, &format!("--image-dir {}", images.display()));
        let error = exp3::run(exp3::Arguments::parse_from(words), ProgressMode::Silent)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a folder of images") && !place.exists(),
            "{error}"
        );
    }
    let words = options(&images, &format!("--image-dir {}", images.display()));
    let error = exp3::run(exp3::Arguments::parse_from(words), ProgressMode::Silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a folder of images"), "{error}");
}

#[test]
fn another_option_is_named_and_a_fresh_start_moves_the_folder_aside() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let run = |more: &str| {
        let more = format!("{FEW} --label-fraction 1 --train-epochs 1 {more}");
        exp3::run(
            exp3::Arguments::parse_from(options(&folder, &more)),
            ProgressMode::Silent,
        )
    };
    run("").unwrap();
    let error = run("--temperature 0.3").unwrap_err().to_string();
    assert!(
        error.contains("--temperature") && error.contains("--fresh"),
        "{error}"
    );
    let cells = |folder: &Path| fs::read_dir(folder.join("cells")).unwrap().count();
    run("--temperature 0.3 --fresh").unwrap();
    assert_eq!(cells(&folder), cells(&dir.path().join("run.before-1")));
}
