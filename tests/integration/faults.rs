//! What a run survives: damage to any of its files, being killed and interrupted at any moment, a
//! disk that is full, and training that comes to nothing.
#![allow(clippy::unwrap_used, clippy::panic)]
#![cfg_attr(not(unix), allow(unused))] // Signals and shells are Unix's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use simclr::augment::DecodedImage;
use simclr::data::{InMemory, SyntheticCores};
use simclr::model::{SimClr, Stem};
use simclr::prelude::*;
use simclr::train::run::RunRecord;
use simclr::train::{
    Callback, ContrastiveObjective, Control, Error, FineTune, FineTuneConfig, LoopConfig, Loss,
    Objective, OnNan, StepMetrics, TrainingBatch,
};
use simclr_cli::interrupt::{exit_paused, pause_handle};
use simclr_cli::terminal::say;
use simclr_testkit::{formula_value, seeds};

/// The content of every file of a folder, by its path in there.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            let below = files(&path);
            found.extend(
                below
                    .into_iter()
                    .map(|(file, bytes)| (name.join(file), bytes)),
            );
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// Makes a folder that holds the files `now` hold those that are expected and no others.
fn put_back(dir: &Path, now: &Files, expected: &Files) {
    for name in now.keys().filter(|name| !expected.contains_key(*name)) {
        fs::remove_file(dir.join(name)).unwrap();
    }
    for (name, bytes) in expected {
        if now.get(name) != Some(bytes) {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Deleted,
    Halved,
    Zeroed,
    /// One bit of the byte in this place, in thousandths of the length.
    Flipped(usize),
}

impl Damage {
    const ALL: [Self; 7] = [
        Self::Deleted,
        Self::Halved,
        Self::Zeroed,
        Self::Flipped(0),
        Self::Flipped(3),
        Self::Flipped(617),
        Self::Flipped(999),
    ];

    /// What it leaves in a file, if it leaves the file.
    fn apply(self, path: &Path, good: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = good.to_vec();
        match self {
            Self::Deleted => {
                fs::remove_file(path).unwrap();
                return None;
            }
            Self::Halved => bytes.truncate(good.len() / 2),
            Self::Zeroed => bytes.fill(0),
            Self::Flipped(place) => bytes[good.len() * place / 1000] ^= 4,
        }
        fs::write(path, &bytes).unwrap();
        Some(bytes)
    }
}

/// What came of a run over a damaged folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Equal,
    Refused,
}

/// Damages every file of a finished run in every way. `run` goes on with it and gives its figures.
fn damage_everything<R: PartialEq + std::fmt::Debug>(
    dir: &Path,
    run: impl Fn() -> Result<R, Error>,
) -> BTreeMap<PathBuf, Vec<Outcome>> {
    let expected = run().unwrap();
    let good = files(dir);
    let newest = good.keys().rfind(|name| name.starts_with("checkpoints"));
    // An older checkpoint that is not needed is not missed.
    let is_needed = |name: &PathBuf| !name.starts_with("checkpoints") || Some(name) == newest;
    let mut outcomes = BTreeMap::<_, Vec<_>>::new();
    for (name, content) in good.iter().filter(|(_, content)| !content.is_empty()) {
        for damage in Damage::ALL {
            let damaged = damage.apply(&dir.join(name), content);
            let what = format!("{} {damage:?}", name.display());
            let found = run();
            let now = files(dir);
            let outcome = match found {
                Ok(found) => {
                    assert_eq!(found, expected, "{what}");
                    let needed = good.keys().filter(|name| is_needed(name));
                    for kept in needed.filter(|name| !changes_with_time(name)) {
                        assert!(
                            now.get(kept) == good.get(kept),
                            "{what}: {} differs",
                            kept.display()
                        );
                    }
                    Outcome::Equal
                }
                Err(error) => {
                    let text = error.to_string();
                    let file = name.file_name().unwrap().to_string_lossy();
                    assert!(text.contains(&*file), "{what}: {text}");
                    let before = |kept: &PathBuf| {
                        if kept == name {
                            damaged.as_ref()
                        } else {
                            good.get(kept)
                        }
                    };
                    for kept in good.keys().filter(|name| !changes_with_time(name)) {
                        assert!(now.get(kept) == before(kept), "{what}: {}", kept.display());
                    }
                    Outcome::Refused
                }
            };
            outcomes.entry(name.clone()).or_default().push(outcome);
            put_back(dir, &now, &good);
        }
    }
    outcomes
}

/// Sessions, speeds, and remarks that no result depends on.
fn changes_with_time(name: &Path) -> bool {
    ["manifest.json", "result.json", "notices.json"]
        .iter()
        .any(|file| name.ends_with(file))
}

fn cores() -> SyntheticCores {
    SyntheticCores::new(24, 32, Seed(seeds::INPUTS)).unwrap()
}

fn small<C: LoopConfig>(config: C) -> C {
    let mut config = config.with_image_size(32).with_batch_size(8);
    config.seed = Seed(seeds::WEIGHTS);
    config.schedule = config
        .schedule
        .clone()
        .with_epochs(2)
        .with_warmup_epochs(0.0);
    config.encoder.stem = Stem::ImageNet;
    config
}

fn pretrain() -> Pretrain {
    Pretrain::new(small(PretrainConfig::resnet(18)))
}

#[test]
fn whatever_is_damaged_in_a_pretraining_the_result_is_the_same_or_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let outcomes = damage_everything(dir.path(), || {
        let run = pretrain().run(cores(), dir.path())?;
        Ok((run.result.steps, run.result.epochs))
    });
    // What is there twice is repaired.
    for name in [
        "model.safetensors",
        "checkpoints/step-00000003.safetensors",
        "checkpoints/step-00000006.safetensors",
    ] {
        assert_eq!(outcomes[Path::new(name)], [Outcome::Equal; 7], "{name}");
    }
    // What is removed, as the message about it advises, is written again.
    for name in ["config.json", "manifest.json", "result.json"] {
        assert_eq!(outcomes[Path::new(name)][0], Outcome::Equal, "{name}");
    }
}

#[test]
fn whatever_is_damaged_in_a_fine_tuning_the_result_is_the_same_or_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let split = SyntheticCores::new(60, 32, Seed(seeds::INPUTS))
        .unwrap()
        .split(
            Fractions {
                train: 0.4,
                validation: 0.3,
            },
            Seed(seeds::INPUTS),
        )
        .unwrap();
    let outcomes = damage_everything(dir.path(), || {
        let run = FineTune::new(small(FineTuneConfig::resnet(18))).run(&split, dir.path())?;
        Ok((
            run.result.steps,
            run.result.best_epoch,
            run.result.test_scores,
        ))
    });
    assert_eq!(
        outcomes[Path::new("model.safetensors")],
        [Outcome::Equal; 7]
    );
}

/// What a child process is to do, and where.
const TASK: &str = "SIMCLR_FAULTS_TASK";
const DIR: &str = "SIMCLR_FAULTS_DIR";

/// A run of nine steps with a checkpoint after each.
fn long_run() -> Pretrain {
    pretrain().epochs(3).checkpoint_steps(NonZeroUsize::MIN)
}

/// Never ends its first step.
struct Stuck;

impl Callback for Stuck {
    fn on_step(&mut self, _: &StepMetrics) -> Control {
        say("stuck");
        std::thread::sleep(Duration::from_secs(600));
        Control::Continue
    }
}

/// Not a test, but what the tests below start in processes of their own.
#[test]
fn child() {
    let (Ok(task), Ok(dir)) = (std::env::var(TASK), std::env::var(DIR)) else {
        return;
    };
    let run = match task.as_str() {
        "run" => long_run(),
        "endless" => pretrain()
            .epochs(10_000)
            .checkpoint_epochs(NonZeroUsize::MAX),
        "stuck" => pretrain().callback(Stuck),
        _ => {
            (0..10_000).for_each(say);
            std::process::exit(0)
        }
    };
    let status = exit_paused(|| run.callback(pause_handle()).run(cores(), dir).map(drop));
    let codes = [0, 1, 129, 130, 143];
    let code = codes
        .into_iter()
        .find(|&code| status == ExitCode::from(code));
    std::process::exit(code.unwrap().into());
}

/// The command that does a task in a child process; `before` is what the shell does first.
#[cfg(unix)]
fn task(task: &str, dir: &Path, before: &str) -> Command {
    let mut command = Command::new("sh");
    let program = std::env::current_exe().unwrap();
    command.args(["-c", &format!("{before} exec \"$@\""), "sh"]);
    command
        .arg(program)
        .args(["--exact", "faults::child", "--nocapture"]);
    command
        .env(TASK, task)
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Waits until something holds, for two minutes at most.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2400 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}");
}

/// That a folder holds the same run as another.
fn assert_same_run(found: &Path, expected: &Path) {
    let (found, expected) = (files(found), files(expected));
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for (name, bytes) in expected.iter().filter(|(name, _)| !changes_with_time(name)) {
        assert!(found[name] == *bytes, "{}", name.display());
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_twenty_times_ends_like_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| dir.path().join(name));
    let start = Instant::now();
    long_run().run(cores(), &whole).unwrap();
    let longest = start.elapsed().as_millis() as u64;
    for number in 0..20 {
        let mut child = task("run", &killed, "").spawn().unwrap();
        let delay = formula_value("kill", number, 0.02, 0.6) * longest as f32;
        std::thread::sleep(Duration::from_millis(delay as u64));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let run = long_run().run(cores(), &killed).unwrap();
    assert_eq!(run.result.steps, 9);
    assert_same_run(&killed, &whole);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_after_its_step_and_a_second_one_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let run = dir.path().join(name);
        let child = task("endless", &run, "").spawn().unwrap();
        let metrics = run.join("metrics.csv");
        let rows = || fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
        wait_until("no step was taken", || rows() > 2);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        let steps = rows() - 1;
        let expected = format!("was paused and saved after step {steps}");
        assert!(message.contains(&expected), "{message}");
        let checkpoint = run.join(format!("checkpoints/step-{steps:08}.safetensors"));
        assert!(checkpoint.exists(), "{steps}");

        let mut child = task("stuck", &run.with_extension("stuck"), "")
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap().contains("stuck")));
        signal(&child, name);
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none());
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

/// As on a full disk, files cannot grow beyond 10 MB, less than a checkpoint.
#[cfg(unix)]
#[test]
fn a_full_disk_is_said_and_leaves_a_run_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, full] = ["whole", "full"].map(|name| dir.path().join(name));
    long_run().run(cores(), &whole).unwrap();
    let output = task("run", &full, "trap '' XFSZ; ulimit -f 20000;")
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("step-00000001.safetensors"), "{message}");
    let left: Vec<_> = files(&full).into_keys().collect();
    let expected = ["config.json", "manifest.json", "metrics.csv", "run.lock"];
    assert_eq!(left, expected.map(PathBuf::from));
    long_run().run(cores(), &full).unwrap();
    assert_same_run(&full, &whole);
}

#[cfg(unix)]
#[test]
fn a_closed_output_is_no_reason_to_end() {
    let mut child = task("talk", Path::new(""), "").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with('7')));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_training_that_diverges_stops_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    for rate in [1e6, 1e9] {
        let mut config = small(PretrainConfig::resnet(18));
        config.schedule.learning_rate = rate;
        let run = dir.path().join(rate.to_string());
        let error = Pretrain::new(config)
            .epochs(20)
            .run(cores(), &run)
            .unwrap_err();
        let text = error.to_string();
        let Error::Diverged { step, images, .. } = error else {
            panic!("{rate}: {text}");
        };
        assert!(step > 1 && images.len() == 8, "{text}");
        assert!(
            text.contains(&cores().name(0)) || text.contains("and 3 more"),
            "{text}"
        );
        assert!(
            text.contains("smaller learning rate") && text.contains("checkpoint"),
            "{text}"
        );
        assert!(!run.join("model.safetensors").exists());
        // Corrected, the run may take the folder if nothing in it was finished.
        let has_checkpoint = text.contains("step-");
        let corrected = pretrain().run(cores(), &run);
        match corrected {
            Ok(_) => assert!(!has_checkpoint),
            Err(error) => assert!(
                has_checkpoint && error.to_string().contains("learning_rate"),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_network_that_is_useless_after_a_single_epoch_has_diverged() {
    let dir = tempfile::tempdir().unwrap();
    let cores = SyntheticCores::new(33, 32, Seed(1)).unwrap().shared();
    let protocol = simclr::study::paper::tiny(simclr::study::paper::experiment_3());
    let mut config = protocol.pretrain.with_batch_size(16);
    config.schedule.epochs = 1;
    config.schedule.learning_rate = 1e6;
    let error = Pretrain::new(config).run(cores.clone(), dir.path().join("a"));
    let error = error.unwrap_err().to_string();
    let expected = "training diverged: after the epoch, effective_rank is not a finite number";
    assert!(
        error.starts_with(expected) && error.contains("with a learning rate of"),
        "{error}"
    );

    let mut config = FineTuneConfig::supervised(1).with_batch_size(8);
    config.encoder = ResNetConfig::depth(18);
    let mut config = config.with_image_size(32);
    config.schedule.learning_rate = 1e9;
    let split = cores.split(Fractions::large_train(), Seed(1)).unwrap();
    let error = FineTune::new(config).run(&split, dir.path().join("b"));
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("training diverged: "), "{error}");
}

/// An objective without a finite value for some steps.
#[derive(Debug)]
struct Spoiled(ContrastiveObjective, Mutex<u64>, std::ops::Range<u64>);

impl Objective for Spoiled {
    fn metrics(&self) -> Vec<&'static str> {
        self.0.metrics()
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> simclr::train::Result<Loss> {
        let mut step = self.1.lock().unwrap();
        *step += 1;
        let factor = if self.2.contains(&*step) {
            f64::NAN
        } else {
            1.0
        };
        let views = (batch.views * factor)?;
        self.0.loss(
            model,
            &TrainingBatch {
                views: &views,
                ..*batch
            },
        )
    }
}

#[test]
fn steps_without_a_finite_loss_are_left_out_on_request_up_to_ten() {
    let dir = tempfile::tempdir().unwrap();
    let run = |steps: std::ops::Range<u64>, on_nan| {
        let name = format!("{steps:?} {on_nan:?}");
        let objective = Spoiled(ContrastiveObjective::default(), Mutex::new(0), steps);
        let run = pretrain().epochs(5).objective(objective).on_nan(on_nan);
        run.run(cores(), dir.path().join(name))
    };
    let left_out = run(4..6, OnNan::Skip).unwrap();
    assert_eq!(left_out.result.steps, 15);
    assert!(
        left_out
            .result
            .epochs
            .iter()
            .all(|epoch| epoch.total_loss.is_finite())
    );
    let record = RunRecord::read(&left_out.dir).unwrap();
    let steps: Vec<u64> = record
        .notices
        .iter()
        .filter(|notice| notice.subject == "step left out")
        .map(|n| n.step)
        .collect();
    assert_eq!(steps, [4, 5]);
    for (steps, on_nan, message) in [
        (4..6, OnNan::Stop, "the loss is NaN, at step 4"),
        (
            4..15,
            OnNan::Skip,
            "10 steps in a row are not finite, at step 13",
        ),
    ] {
        let error = run(steps, on_nan).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_network_that_tells_no_image_from_another_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let cores = InMemory::collect(&cores()).unwrap();
    let first = cores.images()[0].clone();
    let plain = |value: u8| DecodedImage::new(32, 32, vec![value; 32 * 32 * 3]).unwrap();
    let subjects = |name: &str, images: Vec<DecodedImage>| {
        let run = pretrain()
            .epochs(4)
            .run(InMemory::unlabelled(images), dir.path().join(name));
        let notices = RunRecord::read(&run.unwrap().dir).unwrap().notices;
        notices
            .into_iter()
            .map(|notice| notice.subject)
            .collect::<BTreeSet<_>>()
    };
    for (name, image) in [("black", plain(0)), ("white", plain(255)), ("alike", first)] {
        let found = subjects(name, vec![image; 24]);
        assert!(
            found.contains("images") && found.contains("collapse"),
            "{name}: {found:?}"
        );
    }
    let found = subjects("cores", cores.images().to_vec());
    assert!(!found.contains("images"), "{found:?}");
}
