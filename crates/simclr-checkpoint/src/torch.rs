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
        ["encoder", group, block, "shortcut", "conv"] => {
            format!("{}.downsample.0", block_path(group, block)?)
        }
        ["encoder", group, block, "shortcut", "batch_norm"] => {
            format!("{}.downsample.1", block_path(group, block)?)
        }
        ["encoder", group, block, unit] => {
            let number = unit.strip_prefix("conv");
            let kind = match number {
                Some(_) => "conv",
                None => "bn",
            };
            let number = number.or_else(|| unit.strip_prefix("batch_norm"))?;
            format!("{}.{kind}{number}", block_path(group, block)?)
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

/// `layer1.0` for the first block of the first group.
fn block_path(group: &str, block: &str) -> Option<String> {
    let group = group.strip_prefix("block_group")?;
    let block = block.strip_prefix("block")?;
    Some(format!("layer{group}.{block}"))
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

    /// Our shape for theirs.
    pub(crate) fn import_shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Self::Convolution, &[output, input, height, width]) => {
                vec![height, width, input, output]
            }
            (Self::Dense, &[output, input]) => vec![input, output],
            _ => shape.to_vec(),
        }
    }

    /// Their shape for ours.
    pub(crate) fn export_shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Self::Convolution, &[height, width, input, output]) => {
                vec![output, input, height, width]
            }
            _ => self.import_shape(shape),
        }
    }

    /// Our values for theirs, which have this shape.
    pub(crate) fn import_values(self, values: Vec<f32>, shape: &[usize]) -> Result<Vec<f32>> {
        match self {
            Self::Same => Ok(values),
            Self::Convolution => permute(values, shape, &[2, 3, 1, 0]),
            Self::Dense => permute(values, shape, &[1, 0]),
        }
    }

    /// Their values for ours, which have this shape.
    pub(crate) fn export_values(self, values: Vec<f32>, shape: &[usize]) -> Result<Vec<f32>> {
        match self {
            Self::Convolution => permute(values, shape, &[3, 2, 0, 1]),
            _ => self.import_values(values, shape),
        }
    }
}

/// Rearranges row-major values so that axis `order[i]` becomes axis `i`.
fn permute(values: Vec<f32>, shape: &[usize], order: &[usize]) -> Result<Vec<f32>> {
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
