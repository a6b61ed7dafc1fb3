//! The parameter store.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use simclr_model::{Encoder, Error, Parameters, ResNetConfig, Role, SimClr, SimClrConfig, Stem};
use simclr_testkit::seeds;

fn config() -> SimClrConfig {
    SimClrConfig::new(ResNetConfig::depth(18).with_stem(Stem::Cifar)).with_classes(3)
}

fn parameters(seed: u64) -> Parameters {
    let specs = config().parameter_specs().unwrap();
    Parameters::initialize(&specs, seed, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn pairs(tensors: &[(String, Tensor)]) -> impl Iterator<Item = (&str, &Tensor)> + Clone {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
}

fn snapshot(parameters: &Parameters) -> Vec<(String, Tensor)> {
    let copy = parameters.deep_copy().unwrap();
    copy.iter()
        .map(|(name, var)| (name.to_owned(), var.as_tensor().clone()))
        .collect()
}

#[test]
fn one_seed_gives_one_start() {
    let (first, again, other) = (parameters(1), parameters(1), parameters(2));
    let mut differing = 0;
    for (name, variable) in first.iter() {
        assert_eq!(values(variable), values(again.get(name).unwrap()), "{name}");
        differing += usize::from(values(variable) != values(other.get(name).unwrap()));
    }
    assert_eq!(
        differing,
        config()
            .parameter_specs()
            .unwrap()
            .iter()
            .filter(|spec| { matches!(spec.role, Role::ConvKernel | Role::DenseKernel) })
            .count()
    );
}

#[test]
fn heads_do_not_change_the_encoders_start() {
    let encoder = config().encoder.parameter_specs().unwrap();
    let alone = Parameters::initialize(&encoder, 1, &Device::Cpu).unwrap();
    let whole = parameters(1);
    for (name, variable) in alone.iter() {
        assert_eq!(values(variable), values(whole.get(name).unwrap()), "{name}");
    }
}

#[test]
fn last_gammas_start_at_zero_and_others_at_one() {
    let parameters = parameters(1);
    for (name, variable) in parameters
        .iter()
        .filter(|(name, _)| name.ends_with(".gamma"))
    {
        let last = name.ends_with("batch_norm2.gamma");
        let expected = if last { 0.0 } else { 1.0 };
        assert!(
            values(variable).iter().all(|&gamma| gamma == expected),
            "{name}"
        );
    }
}

#[test]
fn loading_is_strict() {
    let (target, source) = (parameters(1), snapshot(&parameters(2)));
    let before = snapshot(&target);

    let mut missing = source.clone();
    missing.retain(|(name, _)| !name.starts_with("supervised_head.dense.bias"));
    let error = target.load(pairs(&missing)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 missing (supervised_head.dense.bias)"),
        "{error}"
    );

    let mut unexpected = source.clone();
    unexpected.push((
        "encoder.stem.conv.bias".into(),
        Tensor::new(0f32, &Device::Cpu).unwrap(),
    ));
    let error = target.load(pairs(&unexpected)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 unexpected (encoder.stem.conv.bias)"),
        "{error}"
    );

    let mut reshaped = source.clone();
    for (_, tensor) in reshaped
        .iter_mut()
        .filter(|(name, _)| name.ends_with("dense.bias"))
    {
        *tensor = Tensor::zeros(7, DType::F32, &Device::Cpu).unwrap();
    }
    let error = target.load(pairs(&reshaped)).unwrap_err();
    assert!(matches!(&error, Error::Mismatch(report) if report.different_shape.len() == 1));
    assert!(
        error.to_string().contains("expected [3], found [7]"),
        "{error}"
    );

    for (name, tensor) in &before {
        assert_eq!(
            values(tensor),
            values(target.get(name).unwrap()),
            "{name} has changed"
        );
    }
    let report = target.load(pairs(&source)).unwrap();
    assert!(report.is_exact() && report.matched.len() == target.len());
    for (name, tensor) in &source {
        assert_eq!(values(tensor), values(target.get(name).unwrap()), "{name}");
    }
}

#[test]
fn matching_tensors_can_be_loaded_alone() {
    let (target, mut source) = (parameters(1), snapshot(&parameters(2)));
    source.retain(|(name, _)| name.starts_with("encoder."));
    let report = target.load_matching(pairs(&source)).unwrap();
    assert!(
        report
            .missing
            .iter()
            .all(|name| !name.starts_with("encoder."))
    );
    assert_eq!(report.matched.len() + report.missing.len(), target.len());
    let kernel = "encoder.stem.conv.kernel";
    let loaded = source.iter().find(|(name, _)| name == kernel).unwrap();
    assert_eq!(values(&loaded.1), values(target.get(kernel).unwrap()));
}

#[test]
fn models_share_the_stores_variables() {
    let parameters = parameters(seeds::WEIGHTS);
    let model = SimClr::new(&config(), parameters.var_builder()).unwrap();
    let bias = parameters.get("supervised_head.dense.bias").unwrap();
    bias.set(&Tensor::new(&[1f32, 2., 3.], &Device::Cpu).unwrap())
        .unwrap();
    let in_model = model.store().unwrap();
    assert_eq!(
        values(in_model.get("supervised_head.dense.bias").unwrap()),
        [1., 2., 3.]
    );
    assert_eq!(
        parameters.names().collect::<Vec<_>>(),
        in_model.names().collect::<Vec<_>>()
    );
}

#[test]
fn a_var_map_works_too() {
    let map = VarMap::new();
    let variables = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let model = SimClr::new(&config(), variables).unwrap();
    let in_map = map.data().lock().unwrap();
    assert_eq!(in_map.len(), model.parameters().count());
    for parameter in model.parameters() {
        let variable = in_map.get(&parameter.spec.name).unwrap();
        assert_eq!(
            variable.dims(),
            parameter.spec.shape,
            "{}",
            parameter.spec.name
        );
        assert_eq!(
            variable.id(),
            parameter.variable.id(),
            "{}",
            parameter.spec.name
        );
    }
}

#[test]
fn a_missing_variable_is_named() {
    let encoder = config().encoder;
    let specs: Vec<_> = encoder
        .parameter_specs()
        .unwrap()
        .into_iter()
        .filter(|spec| spec.name != "encoder.block_group2.block1.conv2.kernel")
        .collect();
    let parameters = Parameters::initialize(&specs, 1, &Device::Cpu).unwrap();
    let error = Encoder::new(&encoder, parameters.var_builder()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("block_group2.block1.conv2.kernel"),
        "{error}"
    );
}

#[test]
fn a_name_cannot_come_twice() {
    let specs = config().parameter_specs().unwrap();
    let twice: Vec<_> = specs.iter().chain(specs.first()).cloned().collect();
    let error = Parameters::initialize(&twice, 1, &Device::Cpu).unwrap_err();
    assert!(
        matches!(error, Error::DuplicateParameter(name) if name == specs.first().unwrap().name)
    );
}
