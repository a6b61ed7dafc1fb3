//! torchvision's names of a ResNet's parameters, which timm shares.

use candle_core::{Device, Result, Tensor};
use simclr_model::{ParameterSpec, Role};

/// The first convolution.
pub(crate) const STEM: &str = "conv1.weight";

/// The dense layer on top.
pub(crate) const CLASSIFIER: &str = "fc.weight";

/// torchvision's name of a parameter; `None` for parts that its ResNets do not have.
pub(crate) fn name_of(spec: &ParameterSpec) -> Option<String> {
    let segments: Vec<&str> = spec.name.split('.').collect();
    let (last, layer) = segments.split_last()?;
    let module = match layer {
        ["encoder", "stem", "conv"] => "conv1".to_owned(),
        ["encoder", "stem", "batch_norm"] => "bn1".to_owned(),
        ["supervised_head", "dense"] => "fc".to_owned(),
        ["encoder", group, block, unit @ ..] => {
            let group = group.strip_prefix("block_group")?;
            let block = block.strip_prefix("block")?;
            let unit = match unit {
                ["shortcut", "conv"] => "downsample.0".to_owned(),
                ["shortcut", "batch_norm"] => "downsample.1".to_owned(),
                [unit] => match unit.strip_prefix("conv") {
                    Some(number) => format!("conv{number}"),
                    None => format!("bn{}", unit.strip_prefix("batch_norm")?),
                },
                _ => return None,
            };
            // `layer1.0` is the first block of the first group.
            format!("layer{group}.{block}.{unit}")
        }
        _ => return None,
    };
    let leaf = match *last {
        "kernel" | "gamma" => "weight",
        "bias" | "beta" => "bias",
        "moving_mean" => "running_mean",
        "moving_variance" => "running_var",
        _ => return None,
    };
    Some(format!("{module}.{leaf}"))
}

/// How the same values are laid out on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Alike.
    Same,
    /// Convolutions: `[out, in, height, width]` there, `[height, width, in, out]` here.
    Convolution,
    /// Dense layers: `[out, in]` there, `[in, out]` here.
    Dense,
}

impl Layout {
    pub(crate) fn of(role: Role) -> Self {
        match role {
            Role::ConvKernel => Self::Convolution,
            Role::DenseKernel => Self::Dense,
            _ => Self::Same,
        }
    }

    /// Their layout of a tensor of this rank.
    pub(crate) fn of_rank(rank: usize) -> Self {
        match rank {
            4 => Self::Convolution,
            2 => Self::Dense,
            _ => Self::Same,
        }
    }

    /// The axis of theirs that becomes each of ours.
    fn import_order(self) -> &'static [usize] {
        match self {
            Self::Same => &[],
            Self::Convolution => &[2, 3, 1, 0],
            Self::Dense => &[1, 0],
        }
    }

    /// The axis of ours that becomes each of theirs.
    fn export_order(self) -> &'static [usize] {
        match self {
            Self::Convolution => &[3, 2, 0, 1],
            _ => self.import_order(),
        }
    }

    /// Our shape for theirs; a shape of another rank stays as it is.
    pub(crate) fn import_shape(self, shape: &[usize]) -> Vec<usize> {
        permute_shape(shape, self.import_order())
    }

    /// Their shape for ours.
    pub(crate) fn export_shape(self, shape: &[usize]) -> Vec<usize> {
        permute_shape(shape, self.export_order())
    }

    /// Our values for theirs, which have this shape.
    pub(crate) fn import_values(self, values: Vec<f32>, shape: &[usize]) -> Result<Vec<f32>> {
        permute(values, shape, self.import_order())
    }

    /// Their values for ours, which have this shape.
    pub(crate) fn export_values(self, values: Vec<f32>, shape: &[usize]) -> Result<Vec<f32>> {
        permute(values, shape, self.export_order())
    }
}

fn permute_shape(shape: &[usize], order: &[usize]) -> Vec<usize> {
    if shape.len() != order.len() {
        return shape.to_vec();
    }
    order.iter().map(|&axis| shape[axis]).collect()
}

/// Rearranges row-major values so that axis `order[i]` becomes axis `i`.
fn permute(values: Vec<f32>, shape: &[usize], order: &[usize]) -> Result<Vec<f32>> {
    if order.is_empty() {
        return Ok(values);
    }
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
    tensor.permute(order)?.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_there_and_back() {
        // Dense: [out = 2, in = 3]. Convolution: [out = 1, in = 2, height = 1, width = 3].
        let theirs = vec![0., 1., 2., 10., 11., 12.];
        let ours = [0., 10., 1., 11., 2., 12.];
        for (layout, their_shape, our_shape) in [
            (Layout::Dense, &[2, 3][..], &[3, 2][..]),
            (Layout::Convolution, &[1, 2, 1, 3], &[1, 3, 2, 1]),
        ] {
            assert_eq!(layout.import_shape(their_shape), our_shape);
            assert_eq!(layout.export_shape(our_shape), their_shape);
            let imported = layout.import_values(theirs.clone(), their_shape).unwrap();
            assert_eq!(imported, ours);
            assert_eq!(layout.export_values(imported, our_shape).unwrap(), theirs);
        }
        let shape = [2, 3, 5, 7];
        let our_shape = Layout::Convolution.import_shape(&shape);
        assert_eq!(our_shape, [5, 7, 3, 2]);
        let theirs: Vec<f32> = (0..210).map(|i| i as f32).collect();
        let ours = Layout::Convolution
            .import_values(theirs.clone(), &shape)
            .unwrap();
        // Ours at (height 4, width 6, in 1, out 0) is theirs at (out 0, in 1, height 4, width 6).
        assert_eq!(ours[((4 * 7 + 6) * 3 + 1) * 2], theirs[(5 + 4) * 7 + 6]);
        let back = Layout::Convolution.export_values(ours, &our_shape).unwrap();
        assert_eq!(back, theirs);
    }
}
