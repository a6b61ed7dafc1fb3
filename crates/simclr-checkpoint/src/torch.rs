//! torchvision's names of a ResNet's parameters, which timm shares.

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

    /// The order of our axes in terms of theirs.
    fn order(self, rank: usize) -> Vec<usize> {
        match self {
            Self::Same => (0..rank).collect(),
            Self::Convolution => vec![2, 3, 1, 0],
            Self::Dense => vec![1, 0],
        }
    }

    /// Our shape for theirs.
    pub(crate) fn import_shape(self, shape: &[usize]) -> Vec<usize> {
        permuted(shape, &self.order(shape.len()))
    }

    /// Their shape for ours.
    pub(crate) fn export_shape(self, shape: &[usize]) -> Vec<usize> {
        permuted(shape, &inverse(&self.order(shape.len())))
    }

    /// Our values for theirs.
    pub(crate) fn import_values(self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        permute(values, shape, &self.order(shape.len()))
    }

    /// Their values for ours.
    pub(crate) fn export_values(self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        permute(values, shape, &inverse(&self.order(shape.len())))
    }
}

fn permuted(shape: &[usize], order: &[usize]) -> Vec<usize> {
    let sizes = order.iter().map(|&axis| shape.get(axis).copied());
    sizes
        .collect::<Option<_>>()
        .unwrap_or_else(|| shape.to_vec())
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let position = |axis| order.iter().position(|&from| from == axis);
    (0..order.len()).filter_map(position).collect()
}

/// Rearranges row-major values so that axis `order[i]` becomes axis `i`.
fn permute(values: Vec<f32>, shape: &[usize], order: &[usize]) -> Vec<f32> {
    if order.is_sorted() || values.is_empty() {
        return values;
    }
    let strides: Vec<usize> = (0..shape.len())
        .map(|axis| shape.iter().skip(axis + 1).product())
        .collect();
    let (sizes, steps) = (permuted(shape, order), permuted(&strides, order));
    let mut position = vec![0; sizes.len()];
    let mut offset = 0;
    let mut result = Vec::with_capacity(values.len());
    while result.len() < values.len() {
        result.extend(values.get(offset));
        for (index, (&size, &step)) in position.iter_mut().zip(sizes.iter().zip(&steps)).rev() {
            *index += 1;
            offset += step;
            if *index < size {
                break;
            }
            *index = 0;
            offset -= size * step;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_there_and_back() {
        // [out = 2, in = 3]
        let theirs = vec![0., 1., 2., 10., 11., 12.];
        let ours = Layout::Dense.import_values(theirs.clone(), &[2, 3]);
        assert_eq!(ours, [0., 10., 1., 11., 2., 12.]);
        assert_eq!(Layout::Dense.import_shape(&[2, 3]), [3, 2]);
        assert_eq!(Layout::Dense.export_values(ours, &[3, 2]), theirs);

        let shape = [2, 3, 5, 7];
        let count: usize = shape.iter().product();
        let theirs: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let our_shape = Layout::Convolution.import_shape(&shape);
        assert_eq!(our_shape, [5, 7, 3, 2]);
        assert_eq!(Layout::Convolution.export_shape(&our_shape), shape);
        let ours = Layout::Convolution.import_values(theirs.clone(), &shape);
        // Ours at (height 4, width 6, in 1, out 1) is theirs at (out 1, in 1, 4, 6).
        let index = |shape: [usize; 4], at: [usize; 4]| {
            at.iter()
                .zip(shape)
                .fold(0, |flat, (i, size)| flat * size + i)
        };
        let (here, there) = (
            index([5, 7, 3, 2], [4, 6, 1, 1]),
            index(shape, [1, 1, 4, 6]),
        );
        assert_eq!(ours[here], theirs[there]);
        assert_eq!(Layout::Convolution.export_values(ours, &our_shape), theirs);
    }
}
