//! Any text as a configuration in JSON. What is valid can be used: its policy makes a view, its
//! schedule gives learning rates, its network has parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simclr_augment::{Image, Policy, Seed, Stream};
use simclr_optim::WarmupCosine;
use simclr_train::{DistillConfig, FineTuneConfig, LoopConfig, PretrainConfig};

/// Larger images are as valid; they take memory and time.
const LARGEST: usize = 256;

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    use_policy(serde_json::from_str(text).ok());
    use_configuration::<PretrainConfig>(text);
    use_configuration::<FineTuneConfig>(text);
    use_configuration::<DistillConfig>(text);
});

fn use_configuration<C: LoopConfig>(text: &str) {
    let Ok(config) = serde_json::from_str::<C>(text) else {
        return;
    };
    if config.validate().is_err() {
        return;
    }
    use_policy(Some(config.policy.clone()));
    let specs = config.network(3).parameter_specs();
    specs.expect("a valid network has parameters");
    let schedule = WarmupCosine::new(&config.schedule, 1000, config.batch_size);
    let schedule = schedule.expect("a valid schedule");
    for step in [0, 1, schedule.warmup_steps(), schedule.total_steps()] {
        assert!(schedule.at(step) >= 0.0, "step {step}: {schedule:?}");
    }
}

fn use_policy(policy: Option<Policy>) {
    let Some(policy) = policy.filter(|policy| policy.validate().is_ok()) else {
        return;
    };
    let sizes = [Some(policy.size), policy.squash];
    let mut lengths = sizes.into_iter().flatten().flat_map(<[usize; 2]>::from);
    if lengths.any(|length| length > LARGEST) {
        return;
    }
    let image = Image::filled(9, 7, [0.2, 0.5, 0.9]).expect("an image");
    // An image may be too small for a centre crop, which is an error.
    if let Ok(view) = policy.apply(&image, Stream::new(Seed(0))) {
        assert!(view.data().iter().all(|value| value.is_finite()));
    }
}
