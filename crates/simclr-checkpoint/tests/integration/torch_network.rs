//! Networks with torchvision's names for tests, in files of PyTorch's.
#![allow(dead_code, clippy::unwrap_used)]

use simclr_checkpoint::{ImportOptions, Imported, import_with};
use tempfile::TempDir;

use crate::pickle::{Pickle, View};

/// The stem's channels in and kernel size, and whether blocks are those of a ResNet-50.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) channels: usize,
    pub(crate) stem: usize,
    pub(crate) bottlenecks: bool,
}

pub(crate) const RESNET_18: Form = Form {
    channels: 3,
    stem: 7,
    bottlenecks: false,
};

pub(crate) const BOTTLENECKS: Form = Form {
    bottlenecks: true,
    ..RESNET_18
};

/// torchvision's names and shapes. All values are those of one storage, which keeps files small.
pub(crate) fn resnet(form: Form, storage: usize) -> Vec<(String, View)> {
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize]| tensors.push((name, View::new(storage, shape)));
    let mut layer = |conv: String, norm: String, shape: [usize; 4]| {
        add(format!("{conv}.weight"), &shape);
        for leaf in ["weight", "bias", "running_mean", "running_var"] {
            add(format!("{norm}.{leaf}"), &shape[..1]);
        }
        add(format!("{norm}.num_batches_tracked"), &[]);
    };
    layer(
        "conv1".into(),
        "bn1".into(),
        [64, form.channels, form.stem, form.stem],
    );
    let blocks = if form.bottlenecks {
        [3, 4, 6, 3]
    } else {
        [2, 2, 2, 2]
    };
    let mut channels = 64;
    for (group, blocks) in blocks.into_iter().enumerate() {
        let width = 64 << group;
        let kernels: &[usize] = if form.bottlenecks {
            &[1, 3, 1]
        } else {
            &[3, 3]
        };
        for block in 0..blocks {
            let at = format!("layer{}.{block}", group + 1);
            let mut input = channels;
            for (number, &kernel) in (1..).zip(kernels) {
                let output = if number == 3 { 4 * width } else { width };
                let names = (format!("{at}.conv{number}"), format!("{at}.bn{number}"));
                layer(names.0, names.1, [output, input, kernel, kernel]);
                input = output;
            }
            if input != channels {
                let names = (format!("{at}.downsample.0"), format!("{at}.downsample.1"));
                layer(names.0, names.1, [input, channels, 1, 1]);
            }
            channels = input;
        }
    }
    tensors
}

/// One of the values that any tensor may have.
pub(crate) const LARGEST: usize = 512 * 512 * 9;

pub(crate) struct Saved {
    pub(crate) folder: TempDir,
    pub(crate) tensors: Vec<(String, View)>,
}

impl Saved {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            tensors: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, prefix: &str, tensors: Vec<(String, View)>) -> Self {
        let renamed = tensors
            .into_iter()
            .map(|(name, view)| (format!("{prefix}{name}"), view));
        self.tensors.extend(renamed);
        self
    }

    pub(crate) fn with_tensor(self, name: &str, shape: &[usize]) -> Self {
        self.with("", vec![(name.to_owned(), View::new(0, shape))])
    }

    /// The tensors as they are, in nested dictionaries with these keys.
    pub(crate) fn import(
        &self,
        keys: &[&str],
        options: &ImportOptions,
    ) -> Result<Imported, String> {
        let path = self.folder.path().join("network.ckpt");
        let mut pickle = Pickle::new();
        for key in keys {
            pickle.bytes(b"}(").text(key);
        }
        pickle.tensors(&self.tensors);
        for _ in keys {
            pickle.bytes(b"u");
        }
        pickle.write(&path, &[vec![0.5; LARGEST], vec![0.25; LARGEST]]);
        import_with(&path, options).map_err(|error| error.to_string())
    }
}
