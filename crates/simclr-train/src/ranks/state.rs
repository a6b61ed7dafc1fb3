//! What rank 0 tells the others.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simclr_collective::Collective;

use crate::error::{Error, Result};
use crate::trainer::Trainer;

/// The state that training begins with or goes on from: its tensors follow.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    step: u64,
    tensors: Vec<(String, Vec<usize>, bool)>,
}

/// Gives `value` of rank 0 to all ranks; that of others does not count.
pub(crate) fn share<T: Serialize + DeserializeOwned>(
    ranks: &dyn Collective,
    value: Option<&T>,
) -> Result<T> {
    let broken = |error| Error::setting("message of rank 0", "JSON", error);
    let own = value.map(serde_json::to_vec).transpose();
    let own = own.map_err(broken)?.unwrap_or_default();
    let all = ranks.all_gather_varying(&own)?;
    let first = all.first().map(Vec::as_slice).unwrap_or_default();
    serde_json::from_slice(first).map_err(broken)
}

/// Brings the trainers of all ranks to where that of rank 0 is.
pub(crate) fn share_state(ranks: &dyn Collective, trainer: &mut Trainer) -> Result<()> {
    let own = (ranks.rank() == 0)
        .then(|| trainer.checkpoint())
        .transpose()?;
    let own = own.map(|file| file.tensors);
    let header = own.as_ref().map(|tensors| Header {
        step: trainer.steps_taken(),
        tensors: tensors
            .iter()
            .map(|(name, tensor)| {
                let is_integer = tensor.dtype() == DType::I64;
                (name.clone(), tensor.dims().to_vec(), is_integer)
            })
            .collect(),
    });
    let header = share(ranks, header.as_ref())?;
    let mut tensors = BTreeMap::new();
    for (name, shape, is_integer) in header.tensors {
        let own = own.as_ref().and_then(|tensors| tensors.get(&name));
        let tensor = if is_integer {
            broadcast::<i64>(ranks, own, shape)?
        } else {
            broadcast::<f32>(ranks, own, shape)?
        };
        tensors.insert(name, tensor);
    }
    if own.is_none() {
        trainer.set_state(header.step, tensors)?;
    }
    Ok(())
}

fn broadcast<T: candle_core::WithDType + bytemuck::Pod>(
    ranks: &dyn Collective,
    own: Option<&Tensor>,
    shape: Vec<usize>,
) -> Result<Tensor> {
    let mut values = match own {
        Some(tensor) => tensor.flatten_all()?.to_vec1::<T>()?,
        None => vec![T::zeroed(); shape.iter().product()],
    };
    ranks.broadcast(0, &mut values)?;
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
