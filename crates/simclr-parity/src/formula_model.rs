//! Models filled with the weights that the recorded cases were computed with.

use candle_core::{DType, Device, Tensor, Var};
use simclr_model::{
    ParameterSpec, Parameters, ProjectionHeadConfig, ResNetConfig, SimClr, SimClrConfig, Stem,
};
use simclr_testkit::{GoldenCase, formula_range, formula_values};

use crate::Result;

/// The architecture that the parameters of a `resnet` case describe.
pub(crate) fn config_of(case: &GoldenCase) -> Result<SimClrConfig> {
    let stem = if case.flag("cifar_stem")? {
        Stem::Cifar
    } else {
        Stem::ImageNet
    };
    let encoder = ResNetConfig::depth(case.count("depth")?)
        .with_width_multiplier(case.count("width_multiplier")?)
        .with_stem(stem)
        .with_sk_ratio(case.number("sk_ratio")?)
        .with_se_ratio(case.number("se_ratio")?)
        .with_batch_norm_decay(case.number("bn_momentum")?)
        .with_batch_norm_epsilon(case.number("bn_eps")?);
    with_heads(case, encoder)
}

/// The network with the heads that the case names.
pub(crate) fn with_heads(case: &GoldenCase, encoder: ResNetConfig) -> Result<SimClrConfig> {
    let projection_head = ProjectionHeadConfig::default()
        .with_layers(case.count("num_proj_layers")?)
        .with_output_size(case.count("proj_out_dim")?)
        .with_fine_tune_from(case.integer("ft_proj_selector")?);
    Ok(SimClrConfig::new(encoder)
        .with_projection_head(projection_head)
        .with_classes(case.count("num_classes")?))
}

/// The model with every parameter from the formula, by its original name.
pub(crate) fn formula_model(
    config: &SimClrConfig,
    dtype: DType,
    device: &Device,
) -> Result<SimClr> {
    let variable = |spec: ParameterSpec| {
        let tensor = formula_tensor(&spec.original_name, &spec.shape, device)?;
        Ok((spec.name, Var::from_tensor(&tensor.to_dtype(dtype)?)?))
    };
    let specs = config.parameter_specs()?.into_iter();
    let parameters = Parameters::from_variables(specs.map(variable).collect::<Result<Vec<_>>>()?)?;
    Ok(SimClr::new(config, parameters.var_builder())?)
}

/// What the formula gives a variable, by its original name.
pub(crate) fn formula_tensor(name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
    let (low, high) = formula_range(name, shape);
    let values = formula_values(name, shape.iter().product(), low, high);
    Ok(Tensor::from_vec(values, shape, device)?)
}
