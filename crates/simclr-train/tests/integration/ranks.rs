//! Pretraining on several ranks, each a thread.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::After;
use candle_core::{Device, Var};
use simclr_augment::{Augmentation, DecodedImage, Policy, SourceImage, Stream};
use simclr_checkpoint::load_model;
use simclr_collective::{Collective, run_threads};
use simclr_data::{Dataset, Seed, SyntheticCores};
use simclr_model::{FrozenEncoder, Stem};
use simclr_optim::{OptimizerConfig, SgdConfig};
use simclr_testkit::{MeteredRank, Tolerance};
use simclr_train::run::RunRecord;
use simclr_train::{
    Control, Error, LoopConfig, OnNan, Pretrain, PretrainConfig, PretrainRun, Result,
    SupervisedObjective,
};

const STEPS: usize = 3;

/// Two steps an epoch.
fn cores() -> SyntheticCores {
    SyntheticCores::new(16, 32, Seed(1)).unwrap()
}

fn pretrain() -> Pretrain {
    let config = PretrainConfig::resnet(18)
        .with_image_size(16)
        .with_batch_size(8);
    let mut config = config
        .clone()
        .with_encoder(config.encoder.clone().with_stem(Stem::Cifar));
    // So that the first steps move the weights.
    config.schedule.warmup_epochs = 0.0;
    Pretrain::new(config).steps(STEPS).seed(Seed(3))
}

/// The results of all ranks; rank r is given the folder `dir/r`, of which rank 0 alone may make
/// its own.
fn train(
    size: usize,
    dir: &Path,
    run: impl Fn(Arc<dyn Collective>, &Path) -> Result<PretrainRun> + Sync,
) -> Vec<Result<PretrainRun>> {
    let runs = run_threads(size, |ranks| {
        let folder = dir.join(ranks.rank().to_string());
        run(ranks, &folder)
    });
    for rank in 1..size {
        assert!(
            !dir.join(rank.to_string()).exists(),
            "rank {rank} wrote files"
        );
    }
    runs
}

fn losses(dir: &Path) -> Vec<f64> {
    let metrics = RunRecord::read(dir).unwrap().metrics.unwrap();
    let losses = metrics.series("total_loss").unwrap();
    losses.into_iter().map(|(_, loss)| loss).collect()
}

/// All numbers of a trained network.
fn network(dir: &Path) -> Vec<f32> {
    let loaded = load_model(dir.join("model.safetensors"), &Device::Cpu).unwrap();
    let store = loaded.model.store().unwrap();
    store
        .iter()
        .flat_map(|(_, variable)| flat(variable))
        .collect()
}

#[test]
fn sending_gradients_while_the_backward_pass_runs_changes_no_bit() {
    let optimizers = [
        OptimizerConfig::default(),
        OptimizerConfig::Momentum(SgdConfig::default()),
    ];
    for optimizer in optimizers {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (dir, is_alone) in dirs.iter().zip([false, true]) {
            let runs = train(2, dir.path(), |ranks, folder| {
                let ranks = MeteredRank::new(ranks, Duration::ZERO);
                let ranks = if is_alone { ranks.alone() } else { ranks };
                let mut config = pretrain().config().clone();
                config.optimizer = optimizer.clone();
                let pretrain = Pretrain::new(config).steps(STEPS).seed(Seed(3));
                pretrain.ranks(Arc::new(ranks)).run(cores(), folder)
            });
            for run in runs {
                run.unwrap();
            }
        }
        let [beside, after] = dirs.each_ref().map(|dir| network(&dir.path().join("0")));
        assert_eq!(beside, after);
    }
}

/// All numbers of a rank's encoder.
fn bits(run: &PretrainRun) -> Vec<f32> {
    let parameters = run.encoder.parameters().iter();
    parameters
        .flat_map(|parameter| flat(&parameter.variable))
        .collect()
}

fn flat(variable: &Var) -> Vec<f32> {
    variable.flatten_all().unwrap().to_vec1().unwrap()
}

fn file(dir: &Path, name: &str) -> Vec<u8> {
    std::fs::read(dir.join(name)).unwrap()
}

/// How far the trainable parameters of a run's encoder are from their start.
fn update(run: &PretrainRun, start: &FrozenEncoder) -> Vec<f32> {
    let pairs = run.encoder.parameters().iter().zip(start.parameters());
    let trained = pairs.filter(|(parameter, _)| parameter.spec.role.is_trainable());
    trained
        .flat_map(|(now, before)| {
            flat(&now.variable)
                .into_iter()
                .zip(flat(&before.variable))
                .map(|(now, before)| now - before)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn ranks_train_as_one_to_rounding_and_as_themselves_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    // Updates in proportion to gradients, unlike those of LARS, which forgive a factor.
    let pretrain = |steps| {
        let mut config = pretrain().config().clone();
        config.optimizer = OptimizerConfig::Momentum(SgdConfig::default());
        Pretrain::new(config).steps(steps)
    };
    let start = pretrain(1).untrained().unwrap();
    // How far the update may be from that of one rank, in relative Euclidean norm.
    for (steps, bound) in [(1, 3e-5), (STEPS, 3e-4)] {
        let alone = dir.path().join(format!("{steps} alone"));
        let one = pretrain(steps).run(cores(), &alone).unwrap();
        for size in [2, 4] {
            let folder = dir.path().join(format!("{steps} steps of {size}"));
            let again = dir.path().join(format!("{steps} steps of {size} again"));
            let [runs, _] = [&folder, &again].map(|folder| {
                let run = |ranks, dir: &Path| pretrain(steps).ranks(ranks).run(cores(), dir);
                let runs: Vec<_> = train(size, folder, run)
                    .into_iter()
                    .map(Result::unwrap)
                    .collect();
                for run in &runs {
                    assert_eq!(run.result, runs[0].result);
                    assert!(bits(run) == bits(&runs[0]), "the ranks' networks differ");
                }
                runs
            });
            for name in ["metrics.csv", "model.safetensors"] {
                let files = [&folder, &again].map(|folder| file(&folder.join("0"), name));
                assert!(files[0] == files[1], "{name} differs");
            }
            let (found, expected) = (losses(&folder.join("0")), losses(&alone));
            // Before the first update nothing but the order of sums differs.
            let gap = (found[0] - expected[0]).abs() / expected[0];
            let of_losses = Tolerance::relative_to_max(3e-5).compare(&found, &expected);
            let (found, expected) = (update(&runs[0], &start), update(&one, &start));
            let of_update = Tolerance::relative_l2(bound).compare(&found, &expected);
            let all = gap <= 1e-6 && of_losses.passed && of_update.passed;
            assert!(all, "{size} ranks: {gap} {of_losses:?} {of_update:?}");
        }
    }
}

#[test]
fn a_run_goes_on_with_any_number_of_ranks_and_with_the_same_one_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let run = |ranks, dir: &Path| pretrain().ranks(ranks).run(cores(), dir);
    train(2, &whole, run)
        .into_iter()
        .for_each(|run| drop(run.unwrap()));
    for (later, same_bits) in [(2, true), (4, false), (1, false)] {
        let folder = dir.path().join(later.to_string());
        let paused = train(2, &folder, |ranks, dir| {
            let pause = After(1, Control::Pause);
            pretrain().callback(pause).ranks(ranks).run(cores(), dir)
        });
        for error in paused.into_iter().map(Result::unwrap_err) {
            assert!(matches!(error, Error::Paused { step: 1, .. }), "{error}");
        }
        for run in train(later, &folder, run) {
            assert_eq!(run.unwrap().result.steps, STEPS as u64);
        }
        // A finished run is read back by all ranks.
        for run in train(2, &folder, run) {
            assert_eq!(run.unwrap().result.steps, STEPS as u64);
        }
        let (found, expected) = (network(&folder.join("0")), network(&whole.join("0")));
        assert!(
            Tolerance::relative_l2(1e-3)
                .compare(&found, &expected)
                .passed
        );
        assert_eq!(found == expected, same_bits, "{later} ranks");
    }
}

#[test]
fn a_callback_of_rank_0_ends_the_run_on_all_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let runs = train(2, dir.path(), |ranks, dir| {
        let stop = After(1, Control::Stop);
        pretrain().callback(stop).ranks(ranks).run(cores(), dir)
    });
    for run in runs.into_iter().map(Result::unwrap) {
        assert_eq!((run.result.steps, run.result.stopped_early), (1, true));
    }
}

#[test]
fn batch_norm_of_each_rank_is_another_run_whose_statistics_are_means() {
    let dir = tempfile::tempdir().unwrap();
    let [global, local] = [true, false].map(|global| {
        let folder = dir.path().join(global.to_string());
        let runs = train(2, &folder, |ranks, dir| {
            let pretrain = pretrain().global_batch_norm(global);
            pretrain.ranks(ranks).run(cores(), dir)
        });
        let networks = runs.into_iter().map(|run| bits(&run.unwrap()));
        let networks: Vec<_> = networks.collect();
        assert!(networks[0] == networks[1], "the ranks' networks differ");
        folder.join("0")
    });
    assert_ne!(losses(&global), losses(&local));
    let errors = train(2, &dir.path().join("false"), |ranks, dir| {
        pretrain().ranks(ranks).run(cores(), dir)
    });
    let error = errors.into_iter().next().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("batch_norm was \"over the batch of each of 2 ranks\""),
        "{error}"
    );
}

/// The errors of all ranks, and whether rank 0 has made its folder.
fn refused(
    size: usize,
    run: impl Fn(Arc<dyn Collective>, &Path) -> Result<PretrainRun> + Sync,
) -> (Vec<String>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let results = train(size, dir.path(), run);
    let errors = results
        .into_iter()
        .map(|result| result.unwrap_err().to_string());
    (errors.collect(), dir.path().join("0").exists())
}

#[test]
fn ranks_that_are_about_different_runs_are_refused_before_the_first_step() {
    let seed = |rank: usize| Seed(u64::from(rank == 1));
    for (expected, (errors, has_folder)) in [
        (
            "config.seed was 3, is 4",
            refused(2, |ranks, dir| {
                let pretrain = pretrain().seed(Seed(3 + ranks.rank() as u64));
                pretrain.ranks(ranks).run(cores(), dir)
            }),
        ),
        (
            "data and arithmetic.dataset digest.unlabelled was",
            refused(2, |ranks, dir| {
                let cores = SyntheticCores::new(16, 32, seed(ranks.rank())).unwrap();
                pretrain().ranks(ranks).run(cores, dir)
            }),
        ),
        (
            "on_nan was \"Stop\", is \"Skip\"",
            refused(2, |ranks, dir| {
                let pretrain = match ranks.rank() {
                    0 => pretrain(),
                    _ => pretrain().on_nan(OnNan::Skip),
                };
                pretrain.ranks(ranks).run(cores(), dir)
            }),
        ),
        (
            "data and arithmetic.arithmetic (SIMCLR_SIMD, SIMCLR_PRECISION, SIMCLR_BFLOAT16) was",
            refused(2, |ranks, dir| {
                let level = match ranks.rank() {
                    0 => simclr_kernels::SimdLevel::current().unwrap(),
                    _ => simclr_kernels::SimdLevel::Portable,
                };
                let options = simclr_kernels::KernelOptions::default().with_simd_level(level);
                options.scope(|| pretrain().ranks(ranks).run(cores(), dir))
            }),
        ),
        (
            "batch size: expected a multiple of the 3 ranks, found 8",
            refused(3, |ranks, dir| pretrain().ranks(ranks).run(cores(), dir)),
        ),
        (
            "objective: expected the loop's own on several ranks",
            refused(2, |ranks, dir| {
                pretrain()
                    .objective(SupervisedObjective)
                    .ranks(ranks)
                    .run(cores(), dir)
            }),
        ),
    ] {
        assert!(!has_folder, "{expected}: a run folder was made");
        for error in errors {
            assert!(error.contains(expected), "{error}\nexpected {expected}");
        }
    }
}

/// Images of which one cannot be read by some rank once training has begun.
#[derive(Debug)]
struct Unreadable {
    cores: SyntheticCores,
    reads: std::sync::atomic::AtomicUsize,
    allowed: usize,
}

impl Dataset for Unreadable {
    fn len(&self) -> usize {
        self.cores.len()
    }

    fn name(&self, index: usize) -> String {
        self.cores.name(index)
    }

    fn decode(&self, index: usize) -> simclr_data::Result<DecodedImage> {
        let reads = self
            .reads
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if reads < self.allowed {
            return self.cores.decode(index);
        }
        let (name, reason) = (self.name(index), "a disc that is gone".to_owned());
        Err(simclr_data::Error::Unreadable { name, reason })
    }
}

#[test]
fn a_rank_that_fails_ends_all_with_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let results = train(3, dir.path(), |ranks, dir| {
        let rank = ranks.rank();
        let config = pretrain().config().clone().with_batch_size(6);
        let pretrain = Pretrain::new(config)
            .epochs(100)
            .cache_bytes(0)
            .ranks(ranks);
        // Beyond the digest of the images, and the first steps.
        let allowed = if rank == 2 { 16 + 10 } else { usize::MAX };
        let images = Unreadable {
            cores: cores(),
            reads: 0.into(),
            allowed,
        };
        pretrain.run(images, dir)
    });
    for (rank, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains("a disc that is gone"),
            "rank {rank}: {error}"
        );
        assert_eq!(
            error.contains("rank 2 ended all ranks"),
            rank != 2,
            "{error}"
        );
    }
    // What is in the folder is whole: the run goes on from there.
    let record = RunRecord::read(&dir.path().join("0")).unwrap();
    assert!(record.result.is_none());
}

/// The usual views, but NaN in the second epoch of some ranks.
#[derive(Debug)]
struct Spoiled {
    policy: Policy,
    spoils: bool,
}

impl Augmentation for Spoiled {
    fn view_size(&self) -> (usize, usize) {
        self.policy.view_size()
    }

    fn view_into(
        &self,
        image: &SourceImage,
        stream: Stream,
        output: &mut [f32],
    ) -> simclr_augment::Result<()> {
        if self.spoils && stream == stream.epoch(1) {
            output.fill(f32::NAN);
            return Ok(());
        }
        self.policy.view_into(image, stream, output)
    }

    fn describe(&self) -> String {
        "the usual views".to_owned()
    }
}

#[test]
fn a_loss_that_is_not_finite_on_one_rank_ends_or_skips_the_step_on_all() {
    let dir = tempfile::tempdir().unwrap();
    let run = |on_nan: OnNan| {
        train(2, &dir.path().join(format!("{on_nan:?}")), |ranks, dir| {
            let spoiled = Spoiled {
                policy: pretrain().config().policy.clone(),
                spoils: ranks.rank() == 1,
            };
            let pretrain = pretrain().augmentation(spoiled).on_nan(on_nan);
            pretrain.steps(6).ranks(ranks).run(cores(), dir)
        })
    };
    let errors = run(OnNan::Stop).into_iter().map(Result::unwrap_err);
    let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
    let expected = "training diverged: the loss is NaN, at step 3";
    assert!(errors[0].starts_with(expected), "{}", errors[0]);
    assert_eq!(errors[1], format!("rank 0 ended all ranks: {}", errors[0]));

    let runs: Vec<_> = run(OnNan::Skip).into_iter().map(Result::unwrap).collect();
    assert!(
        bits(&runs[0]) == bits(&runs[1]),
        "the ranks' networks differ"
    );
    assert!(bits(&runs[0]).iter().all(|value| value.is_finite()));
    let notices = RunRecord::read(&runs[0].dir).unwrap().notices;
    let steps: Vec<_> = notices
        .iter()
        .filter(|n| n.subject == "step left out")
        .map(|n| n.step)
        .collect();
    assert_eq!(steps, [3, 4]);
}
