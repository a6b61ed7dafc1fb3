//! A writer of files of PyTorch's for tests: of what `torch.save` writes, the pickle by hand.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;

/// A pickle under construction.
pub(crate) struct Pickle(pub(crate) Vec<u8>);

/// A tensor that is a view of a storage, by the storage's number.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) storage: usize,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    /// Whether the values have the opposite sign of those stored.
    pub(crate) negative: bool,
}

impl View {
    /// In row-major order, from the beginning of a storage.
    pub(crate) fn new(storage: usize, shape: &[usize]) -> Self {
        let axes = 0..shape.len();
        Self {
            storage,
            offset: 0,
            shape: shape.to_vec(),
            strides: axes
                .map(|axis| shape[axis + 1..].iter().product())
                .collect(),
            negative: false,
        }
    }
}

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(b"X").bytes(&(text.len() as u32).to_le_bytes());
        self.bytes(text.as_bytes())
    }

    pub(crate) fn integer(&mut self, value: usize) -> &mut Self {
        self.bytes(b"J").bytes(&(value as i32).to_le_bytes())
    }

    fn integers(&mut self, values: &[usize]) -> &mut Self {
        self.bytes(b"(");
        for &value in values {
            self.integer(value);
        }
        self.bytes(b"t")
    }

    pub(crate) fn tensor(&mut self, view: &View) -> &mut Self {
        self.bytes(b"ctorch._utils\n_rebuild_tensor_v2\n((")
            .text("storage")
            .bytes(b"ctorch\nFloatStorage\n")
            .text(&view.storage.to_string())
            .text("cpu")
            .integer(view.shape.iter().product())
            .bytes(b"tQ")
            .integer(view.offset)
            .integers(&view.shape)
            .integers(&view.strides)
            .bytes(b"\x89ccollections\nOrderedDict\n)R");
        if view.negative {
            self.bytes(b"}").text("neg").bytes(b"\x88s");
        }
        self.bytes(b"tR")
    }

    /// A module of PyTorch's with these settings: whole numbers, each along two axes, and others.
    pub(crate) fn module(&mut self, class: &str, settings: &[(&str, f64)]) -> &mut Self {
        let class = class.replace('.', "\n");
        self.bytes(format!("ctorch.nn.modules.{class}\n)").as_bytes());
        self.bytes(&[0x81, b'}', b'(']);
        for &(name, value) in settings {
            self.text(name);
            if value.fract() == 0.0 {
                self.bytes(&[b'K', value as u8, b'K', value as u8, 0x86]);
            } else {
                self.bytes(b"G").bytes(&value.to_be_bytes());
            }
        }
        self.bytes(b"ub")
    }

    /// An `OrderedDict` of tensors.
    pub(crate) fn tensors(&mut self, tensors: &[(String, View)]) -> &mut Self {
        self.bytes(b"ccollections\nOrderedDict\n)R(");
        for (name, view) in tensors {
            self.text(name).tensor(view);
        }
        self.bytes(b"u")
    }

    /// Writes the archive, with these storages.
    pub(crate) fn write(&mut self, path: &Path, storages: &[Vec<f32>]) {
        self.bytes(b".");
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        archive.start_file("archive/data.pkl", stored).unwrap();
        archive.write_all(&self.0).unwrap();
        for (number, values) in storages.iter().enumerate() {
            // PyTorch compresses nothing, but others do.
            let options = if number % 2 == 0 {
                stored
            } else {
                SimpleFileOptions::default()
            };
            archive
                .start_file(format!("archive/data/{number}"), options)
                .unwrap();
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
    }
}
