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
    Ok(SimClrConfig {
        encoder: ResNetConfig {
            width_multiplier: case.count("width_multiplier")?,
            stem,
            sk_ratio: case.number("sk_ratio")?,
            se_ratio: case.number("se_ratio")?,
            batch_norm_decay: case.number("bn_momentum")?,
            batch_norm_epsilon: case.number("bn_eps")?,
            ..ResNetConfig::depth(case.count("depth")?)
        },
        projection_head: ProjectionHeadConfig {
            layers: case.count("num_proj_layers")?,
            output_size: case.count("proj_out_dim")?,
            ft_proj_selector: case.integer("ft_proj_selector")?,
            ..ProjectionHeadConfig::default()
        },
        supervised_head: None,
    }
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
