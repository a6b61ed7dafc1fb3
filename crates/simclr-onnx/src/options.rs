//! What is written.

use std::collections::BTreeMap;

/// How images come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum InputLayout {
    /// `[n, 3, height, width]`, as onnxruntime's and PyTorch's users have them.
    #[default]
    Nchw,
    /// `[n, height, width, 3]`, as everywhere else in `simclr`.
    Nhwc,
}

/// What is written.
///
/// ```
/// use simclr_onnx::{InputLayout, OnnxOptions};
///
/// let options = OnnxOptions::default().with_image_size(96).with_layout(InputLayout::Nhwc);
/// assert_eq!((options.height, options.width), (96, 96));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnnxOptions {
    /// Rows of an image. Default: 224.
    pub height: usize,
    /// Columns of an image. Default: 224.
    pub width: usize,
    /// The layout of the input. Default: [`InputLayout::Nchw`].
    pub layout: InputLayout,
    /// Whether the network's heads are written with the encoder. Default: true.
    pub heads: bool,
    /// Texts by key for the file's metadata, such as the names of classes, beside `input`, which says
    /// what the graph takes. Default: none.
    pub metadata: BTreeMap<String, String>,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self {
            height: 224,
            width: 224,
            layout: InputLayout::Nchw,
            heads: true,
            metadata: BTreeMap::new(),
        }
    }
}

impl OnnxOptions {
    /// Sets [`Self::height`] and [`Self::width`] to this size.
    pub fn with_image_size(mut self, size: usize) -> Self {
        (self.height, self.width) = (size, size);
        self
    }

    /// Sets [`Self::layout`].
    pub fn with_layout(mut self, layout: InputLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets [`Self::heads`].
    pub fn with_heads(mut self, heads: bool) -> Self {
        self.heads = heads;
        self
    }

    /// Adds an entry to [`Self::metadata`].
    pub fn with_metadata(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), text.into());
        self
    }
}
