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
pub(crate) fn formula_model(config: &SimClrConfig, dtype: DType) -> Result<SimClr> {
    let variables = config
        .parameter_specs()?
        .into_iter()
        .map(|spec| Ok((spec.name.clone(), formula_variable(&spec, dtype)?)))
        .collect::<Result<Vec<_>>>()?;
    let parameters = Parameters::from_variables(variables)?;
    Ok(SimClr::new(config, parameters.var_builder())?)
}

fn formula_variable(spec: &ParameterSpec, dtype: DType) -> Result<Var> {
    let (low, high) = formula_range(&spec.original_name, &spec.shape);
    let values = formula_values(&spec.original_name, spec.element_count(), low, high);
    let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
    Ok(Var::from_tensor(&tensor.to_dtype(dtype)?)?)
}
