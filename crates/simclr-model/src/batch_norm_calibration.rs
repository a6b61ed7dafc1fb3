//! Moving statistics of batch norm for images that a network has not been trained on.

use candle_core::{Tensor, Var};

use crate::builder::Parameter;
use crate::checks::check;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::freeze::Mode;
use crate::frozen_encoder::FrozenEncoder;
use crate::parameters::Parameters;

impl FrozenEncoder {
    /// A copy whose batch norms know these images: the moving mean and variance of each channel
    /// are the averages over the batches of the batches' means and variances. The weights stay
    /// as they are, and so does this encoder.
    ///
    /// This makes an untrained network a fair baseline: training adapts the statistics to the
    /// images even at a learning rate of 0, and the initial ones (mean 0, variance 1) fit no
    /// images at all.
    ///
    /// # Errors
    /// Those of the batches `[n, height, width, 3]`; no batch; as [`Encoder::forward`].
    pub fn calibrated<E: From<Error>>(
        &self,
        batches: impl IntoIterator<Item = Result<Tensor, E>>,
    ) -> Result<Self, E> {
        let parameters = self.copy_of_parameters()?;
        let encoder = encoder_that_keeps_the_last_batch(self, &parameters)?;
        let mut sums = None;
        let mut count = 0;
        for batch in batches {
            let batch = batch?.to_device(self.device());
            encoder.forward(&batch.map_err(Error::from)?, Mode::Train)?;
            sums = Some(add_statistics(sums, &encoder)?);
            count += 1;
        }
        check("batches", count, "at least 1", count > 0)?;
        set_statistics(&encoder, sums.unwrap_or_default(), f64::from(count))?;
        Ok(Encoder::new(self.config(), parameters.var_builder())?.frozen())
    }

    fn copy_of_parameters(&self) -> Result<Parameters> {
        let named = |p: &Parameter| (p.spec.name.clone(), p.variable.clone());
        Parameters::from_variables(self.parameters().iter().map(named))?.deep_copy()
    }
}

fn encoder_that_keeps_the_last_batch(
    encoder: &FrozenEncoder,
    parameters: &Parameters,
) -> Result<Encoder> {
    let config = encoder.config().clone().with_batch_norm_decay(0.0);
    Encoder::new(&config, parameters.var_builder())
}

/// The moving means and variances.
fn statistics(encoder: &Encoder) -> impl Iterator<Item = &Var> {
    let parameters = encoder.parameters().iter();
    parameters
        .filter(|parameter| !parameter.spec.role.is_trainable())
        .map(|parameter| &parameter.variable)
}

fn add_statistics(sums: Option<Vec<Tensor>>, encoder: &Encoder) -> Result<Vec<Tensor>> {
    let Some(sums) = sums else {
        return statistics(encoder).map(|value| Ok(value.copy()?)).collect();
    };
    let pairs = sums.into_iter().zip(statistics(encoder));
    pairs
        .map(|(sum, value)| Ok((sum + value.as_detached_tensor())?))
        .collect()
}

fn set_statistics(encoder: &Encoder, sums: Vec<Tensor>, count: f64) -> Result<()> {
    for (variable, sum) in statistics(encoder).zip(sums) {
        variable.set(&(sum / count)?)?;
    }
    Ok(())
}
