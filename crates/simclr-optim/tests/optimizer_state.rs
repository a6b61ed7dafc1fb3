//! Saved optimizer state goes on as if nothing had happened, and only where it belongs.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use simclr_optim::{
    AdamConfig, Lars, LarsConfig, MomentumForm, NamedVariable, Optimizer, OptimizerConfig,
    SgdConfig,
};
use simclr_testkit::Tolerance;

const NAMES: [&str; 3] = [
    "encoder.stem.conv.kernel",
    "encoder.stem.batch_norm.gamma",
    "supervised_head.dense.bias",
];

fn configurations() -> Vec<OptimizerConfig> {
    let mut all = vec![
        OptimizerConfig::Adam(AdamConfig::default()),
        OptimizerConfig::Momentum(SgdConfig::default()),
        OptimizerConfig::Momentum(SgdConfig::default().with_nesterov(false)),
    ];
    for nesterov in [false, true] {
        for momentum_form in [MomentumForm::Classic, MomentumForm::Popular] {
            all.push(OptimizerConfig::Lars(
                LarsConfig::default()
                    .with_nesterov(nesterov)
                    .with_momentum_form(momentum_form)
                    .with_weight_decay(1e-2),
            ));
        }
    }
    all
}

/// Values that are uneven and differ per tensor; large enough for several chunks.
fn values(salt: usize, dtype: DType) -> Tensor {
    let values: Vec<f32> = (0..40_000)
        .map(|i| ((i * 31 + salt * 17) % 97) as f32 / 97.0 - 0.4)
        .collect();
    Tensor::from_vec(values, (200, 200), &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

fn variables(dtype: DType) -> Vec<NamedVariable> {
    NAMES
        .iter()
        .enumerate()
        .map(|(salt, name)| NamedVariable {
            name: (*name).to_owned(),
            variable: Var::from_tensor(&values(salt, dtype)).unwrap(),
        })
        .collect()
}

fn gradients(step: usize, dtype: DType) -> BTreeMap<String, Tensor> {
    NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| ((*name).to_owned(), values(7 * step + index + 3, dtype)))
        .collect()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn run(optimizer: &mut dyn Optimizer, steps: std::ops::Range<usize>, dtype: DType) {
    for step in steps {
        optimizer.step(&gradients(step, dtype), 0.1).unwrap();
    }
}

#[test]
fn in_place_and_composite_updates_agree() {
    for config in configurations() {
        let [single, double] = [DType::F32, DType::F64].map(|dtype| {
            let variables = variables(dtype);
            let mut optimizer = config.build(variables.clone()).unwrap();
            run(optimizer.as_mut(), 0..4, dtype);
            let mut all: Vec<_> = variables
                .iter()
                .map(|variable| flat(variable.variable.as_tensor()))
                .collect();
            all.extend(optimizer.state().unwrap().values().map(flat));
            all
        });
        for (single, double) in single.iter().zip(&double) {
            let comparison = Tolerance::relative_to_max(2e-5).compare(single, double);
            assert!(comparison.passed, "{config:?}: {comparison:?}");
        }
    }
}

#[test]
fn a_resumed_optimizer_goes_on_exactly() {
    for config in configurations() {
        let whole = variables(DType::F32);
        let mut optimizer = config.build(whole.clone()).unwrap();
        run(optimizer.as_mut(), 0..5, DType::F32);

        let resumed = variables(DType::F32);
        let mut first = config.build(resumed.clone()).unwrap();
        run(first.as_mut(), 0..2, DType::F32);
        let state = first.state().unwrap();
        let mut second = config.build(resumed.clone()).unwrap();
        second.load_state(&state).unwrap();
        assert_eq!(second.steps_taken(), 2);
        run(second.as_mut(), 2..5, DType::F32);

        for (a, b) in whole.iter().zip(&resumed) {
            assert_eq!(flat(&a.variable), flat(&b.variable), "{config:?}");
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    for config in configurations() {
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let variables = variables(DType::F32);
            let mut optimizer = config.build(variables.clone()).unwrap();
            pool.install(|| run(optimizer.as_mut(), 0..3, DType::F32));
            variables
                .iter()
                .map(|variable| flat(&variable.variable))
                .collect::<Vec<_>>()
        });
        assert_eq!(one, three, "{config:?}");
    }
}

#[test]
fn variables_without_a_gradient_stay_and_have_no_slot() {
    let variables = variables(DType::F32);
    let before = flat(&variables[1].variable);
    let config = OptimizerConfig::default();
    let mut optimizer = config.build(variables.clone()).unwrap();
    let mut gradients = gradients(0, DType::F32);
    gradients.remove(NAMES[1]);
    optimizer.step(&gradients, 0.1).unwrap();
    assert_eq!(flat(&variables[1].variable), before);
    let state = optimizer.state().unwrap();
    assert_eq!(
        state.keys().collect::<Vec<_>>(),
        [
            "encoder.stem.conv.kernel.momentum",
            "optimizer.step",
            "supervised_head.dense.bias.momentum"
        ]
    );
}

#[test]
fn foreign_state_is_refused_and_changes_nothing() {
    let build = |config: &OptimizerConfig| config.build(variables(DType::F32)).unwrap();
    let lars = OptimizerConfig::default();
    let mut source = build(&lars);
    run(source.as_mut(), 0..2, DType::F32);
    let good = source.state().unwrap();

    let mut target = build(&lars);
    let refused = |target: &mut dyn Optimizer, state: &BTreeMap<String, Tensor>| {
        let message = target.load_state(state).unwrap_err().to_string();
        assert_eq!(target.steps_taken(), 0);
        assert_eq!(target.state().unwrap().len(), 1);
        message
    };

    let mut extra = good.clone();
    extra.insert(
        "nobody.momentum".into(),
        Tensor::new(1f32, &Device::Cpu).unwrap(),
    );
    assert!(refused(target.as_mut(), &extra).contains("nobody.momentum"));

    let mut wrong_shape = good.clone();
    let key = format!("{}.momentum", NAMES[0]);
    wrong_shape.insert(key.clone(), Tensor::new(1f32, &Device::Cpu).unwrap());
    assert!(refused(target.as_mut(), &wrong_shape).contains(&key));

    let mut no_counter = good.clone();
    no_counter.remove("optimizer.step");
    assert!(refused(target.as_mut(), &no_counter).contains("optimizer.step"));

    // The velocities of SGD have the opposite sign: another name, so never mixed up.
    let mut sgd = build(&OptimizerConfig::Momentum(SgdConfig::default()));
    assert!(refused(sgd.as_mut(), &good).contains("velocity"));

    let mut half = build(&OptimizerConfig::Adam(AdamConfig::default()));
    run(half.as_mut(), 0..1, DType::F32);
    let mut state = half.state().unwrap();
    state.remove(&format!("{}.second_moment", NAMES[2]));
    let mut adam = build(&OptimizerConfig::Adam(AdamConfig::default()));
    assert!(refused(adam.as_mut(), &state).contains(NAMES[2]));
}

#[test]
fn the_loss_decays_what_the_optimizer_does_not() {
    for config in configurations() {
        let coverage = config
            .build(variables(DType::F32))
            .unwrap()
            .weight_decay_coverage();
        let covered = NAMES.map(|name| coverage.contains(name));
        let expected = match config {
            OptimizerConfig::Lars(_) => [false, false, false],
            _ => [true, false, true],
        };
        assert_eq!(covered, expected, "{config:?}");
    }
}

#[test]
fn settings_may_be_partial_and_unknown_ones_are_refused_by_name() {
    let read = serde_json::from_str::<OptimizerConfig>;
    let lars = read(r#"{"kind": "lars", "momentum": 0.8}"#).unwrap();
    let expected = OptimizerConfig::Lars(LarsConfig::default().with_momentum(0.8));
    assert_eq!(lars, expected);
    let unknown = read(r#"{"kind": "adam", "beta": 0.8}"#).unwrap_err();
    assert!(unknown.to_string().contains("`beta`"), "{unknown}");
}

#[test]
fn nonsense_settings_are_refused() {
    let bad = [
        OptimizerConfig::Lars(LarsConfig::default().with_momentum(1.0)),
        OptimizerConfig::Lars(LarsConfig::default().with_weight_decay(f64::NAN)),
        OptimizerConfig::Adam(AdamConfig::default().with_beta2(-0.1)),
    ];
    for config in bad {
        assert!(config.build(variables(DType::F32)).is_err(), "{config:?}");
    }
    let twice = [variables(DType::F32), variables(DType::F32)].concat();
    assert!(OptimizerConfig::default().build(twice).is_err());
    let mut optimizer = OptimizerConfig::default()
        .build(variables(DType::F32))
        .unwrap();
    assert!(optimizer.step(&gradients(0, DType::F32), f64::NAN).is_err());
}

#[test]
fn names_are_taken_as_text_of_any_type() {
    let variable = || Var::new(&[1f32, 2.0], &Device::Cpu).unwrap();
    let named = [("dense.kernel", variable()), ("dense.bias", variable())];
    let owned = named.clone().map(|(name, v)| (name.to_owned(), v));
    let config = LarsConfig::default()
        .with_weight_decay(0.1)
        .with_exclude_from_weight_decay(["bias"])
        .with_exclude_from_layer_adaptation(vec!["kernel".to_owned()]);
    assert_eq!(config.exclude_from_weight_decay, ["bias"]);
    assert_eq!(
        config.exclude_from_layer_adaptation,
        Some(vec!["kernel".to_owned()])
    );
    let names = |optimizer: &dyn Optimizer| {
        let variables = optimizer.variables();
        variables
            .iter()
            .map(|variable| variable.name.clone())
            .collect::<Vec<_>>()
    };
    let borrowed = Lars::new(named, config.clone()).unwrap();
    let owned = Lars::new(owned, config).unwrap();
    assert_eq!(names(&borrowed), ["dense.kernel", "dense.bias"]);
    assert_eq!(names(&owned), names(&borrowed));
}

#[test]
fn gradients_of_another_type_are_refused_by_name_and_change_nothing() {
    for configuration in configurations() {
        for (dtype, other) in [(DType::F32, DType::F64), (DType::F64, DType::F32)] {
            let variables = variables(dtype);
            let before = variables[0].variable.as_tensor().copy().unwrap();
            let mut optimizer = configuration.build(variables.clone()).unwrap();
            let mut of_both = gradients(1, dtype);
            let last = of_both.get_mut(NAMES[2]).unwrap();
            *last = last.to_dtype(other).unwrap();
            let error = optimizer.step(&of_both, 0.1).unwrap_err();
            let text = error.to_string();
            let (expected, found) = (dtype.as_str(), other.as_str());
            let reason = format!("expected a gradient of {expected}, found one of {found}");
            assert!(text.ends_with(&reason), "{text}");
            assert!(text.contains(NAMES[2]), "{text}");
            assert_eq!(flat(&variables[0].variable), flat(&before));
        }
    }
}
