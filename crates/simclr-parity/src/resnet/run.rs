//! A forward pass of the recorded network.

use candle_core::{DType, Var};
use simclr_kernels::Backend;
use simclr_model::{Mode, SimClr, SimClrOutput};
use simclr_testkit::GoldenCase;

use crate::Result;
use crate::formula_model::{config_of, formula_model};

/// The model with the case's weights, and what it made of the case's images.
pub(super) struct Run {
    pub(super) model: SimClr,
    pub(super) images: Var,
    pub(super) output: SimClrOutput,
}

impl Run {
    pub(super) fn new(
        case: &GoldenCase,
        mode: Mode,
        dtype: DType,
        backend: Backend,
    ) -> Result<Self> {
        let mut model = formula_model(&config_of(case)?, dtype)?;
        model.set_backend(backend);
        let images = Var::from_tensor(&case.tensor("input")?.to_dtype(dtype)?)?;
        let output = model.forward(&images, mode)?;
        Ok(Self {
            model,
            images,
            output,
        })
    }
}
