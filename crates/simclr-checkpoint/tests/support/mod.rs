//! A writer of tensor bundles for tests. It shares no code with the reader.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod random;

use std::path::Path;

use prost::Message;

/// One variable: its name, TensorFlow's number of its type, and the blocks it is stored in.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) data_type: i32,
    pub(crate) shape: Vec<i64>,
    pub(crate) parts: Vec<Part>,
}

/// A block of a variable: where it begins along each axis, its size, its bytes and its shard.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) start: Vec<i64>,
    pub(crate) size: Vec<i64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) shard: usize,
    /// The checksum of the values, where it is not that of the bytes.
    pub(crate) checksum: Option<u32>,
}

/// How the table is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) shards: usize,
    /// Bytes after which a block is closed.
    pub(crate) block_size: usize,
    /// Entries after which a whole key is written.
    pub(crate) restart_interval: usize,
    pub(crate) snappy: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            shards: 1,
            block_size: 4096,
            restart_interval: 16,
            snappy: false,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Header {
    #[prost(int32, tag = "1")]
    pub(crate) num_shards: i32,
    #[prost(int32, tag = "2")]
    pub(crate) endianness: i32,
    #[prost(message, optional, tag = "3")]
    pub(crate) version: Option<Version>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Version {
    #[prost(int32, tag = "1")]
    pub(crate) producer: i32,
    #[prost(int32, tag = "2")]
    pub(crate) min_consumer: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    #[prost(int32, tag = "1")]
    pub(crate) dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<Shape>,
    #[prost(int32, tag = "3")]
    pub(crate) shard_id: i32,
    #[prost(int64, tag = "4")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "5")]
    pub(crate) size: i64,
    #[prost(fixed32, tag = "6")]
    pub(crate) crc32c: u32,
    #[prost(message, repeated, tag = "7")]
    pub(crate) slices: Vec<Slice>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Shape {
    #[prost(message, repeated, tag = "2")]
    pub(crate) dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dim {
    #[prost(int64, tag = "1")]
    pub(crate) size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Slice {
    #[prost(message, repeated, tag = "1")]
    pub(crate) extent: Vec<Extent>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Extent {
    #[prost(int64, tag = "1")]
    pub(crate) start: i64,
    #[prost(int64, optional, tag = "2")]
    pub(crate) length: Option<i64>,
}

/// A name-based variable of type f32, in one piece.
pub(crate) fn float_variable(name: &str, shape: &[usize], values: &[f32]) -> Written {
    let size: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    Written {
        name: name.to_owned(),
        data_type: 1,
        shape: size.clone(),
        parts: vec![Part {
            start: vec![0; size.len()],
            size,
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            shard: 0,
            checksum: None,
        }],
    }
}

/// A variable of strings: their lengths, a checksum of these as `u32`, then all of their bytes.
pub(crate) fn string_variable(name: &str, strings: &[&[u8]]) -> Written {
    let (mut bytes, mut crc) = (Vec::new(), 0);
    for string in strings {
        push_varint(&mut bytes, string.len() as u64);
        crc = crc32c::crc32c_append(crc, &(string.len() as u32).to_le_bytes());
    }
    let checksum = mask(crc).to_le_bytes();
    let rest = [&checksum, strings.concat().as_slice()].concat();
    crc = crc32c::crc32c_append(crc, &rest);
    bytes.extend(rest);
    of_bytes(name, 7, strings.len(), bytes, crc)
}

/// A variable of objects: of each the length, the bytes, and the checksum of all before, where
/// lengths count as `u64`.
pub(crate) fn variant_variable(name: &str, objects: &[&[u8]]) -> Written {
    let (mut bytes, mut crc) = (Vec::new(), 0);
    for object in objects {
        push_varint(&mut bytes, object.len() as u64);
        bytes.extend(*object);
        crc = crc32c::crc32c_append(crc, &(object.len() as u64).to_le_bytes());
        crc = crc32c::crc32c_append(crc, object);
        let checksum = mask(crc).to_le_bytes();
        bytes.extend(checksum);
        crc = crc32c::crc32c_append(crc, &checksum);
    }
    of_bytes(name, 21, objects.len(), bytes, crc)
}

fn of_bytes(name: &str, data_type: i32, count: usize, bytes: Vec<u8>, checksum: u32) -> Written {
    let shape = vec![count as i64];
    Written {
        name: name.to_owned(),
        data_type,
        shape: shape.clone(),
        parts: vec![Part {
            start: vec![0],
            size: shape,
            bytes,
            shard: 0,
            checksum: Some(checksum),
        }],
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<Node>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(message, repeated, tag = "1")]
    pub(crate) children: Vec<Reference>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) attributes: Vec<Attribute>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) slots: Vec<Slot>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reference {
    #[prost(int32, tag = "1")]
    pub(crate) node: i32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) full_name: String,
    #[prost(string, tag = "3")]
    pub(crate) key: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Slot {
    #[prost(int32, tag = "1")]
    pub(crate) original: i32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(int32, tag = "3")]
    pub(crate) slot: i32,
}

impl Graph {
    /// The node at the end of a path from the root, made where it is missing.
    pub(crate) fn node_at<'a>(&mut self, path: impl Iterator<Item = &'a str>) -> usize {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for name in path {
            let known = self.nodes[at].children.iter();
            let known = known
                .filter(|child| child.name == name)
                .map(|c| c.node)
                .next();
            at = known.unwrap_or_else(|| {
                let node = self.nodes.len() as i32;
                let name = name.to_owned();
                self.nodes[at].children.push(Reference { node, name });
                self.nodes.push(Node::default());
                node
            }) as usize;
        }
        at
    }

    /// The variable that holds the graph.
    pub(crate) fn written(&self) -> Written {
        let mut written = string_variable("_CHECKPOINTABLE_OBJECT_GRAPH", &[&self.encode_to_vec()]);
        written.shape.clear();
        written.parts[0].size.clear();
        written.parts[0].start.clear();
        written
    }
}

/// Writes `PREFIX.index` and the data files.
pub(crate) fn write_bundle(prefix: &Path, variables: &[Written], layout: Layout) {
    let mut shards = vec![Vec::new(); layout.shards];
    let header = Header {
        num_shards: layout.shards as i32,
        endianness: 0,
        version: Some(Version {
            producer: 1,
            min_consumer: 0,
        }),
    };
    let mut entries = vec![(Vec::new(), header.encode_to_vec())];
    for variable in variables {
        entries.extend(store(variable, &mut shards));
    }
    entries.sort();
    for (number, shard) in shards.iter().enumerate() {
        let name = format!(".data-{number:05}-of-{:05}", layout.shards);
        std::fs::write(append(prefix, &name), shard).unwrap();
    }
    std::fs::write(append(prefix, ".index"), table(&entries, layout)).unwrap();
}

/// Writes a whole network as a name-based checkpoint, however large, with little memory.
pub(crate) fn write_network(prefix: &Path, config: &simclr_model::SimClrConfig) {
    use std::io::Write;

    let mut specs = config.parameter_specs().unwrap();
    specs.sort_by(|a, b| a.original_name.cmp(&b.original_name));
    let header = Header {
        num_shards: 1,
        ..Default::default()
    };
    let mut entries = vec![(Vec::new(), header.encode_to_vec())];
    let data = std::fs::File::create(append(prefix, ".data-00000-of-00001")).unwrap();
    let mut data = std::io::BufWriter::with_capacity(1 << 20, data);
    let mut offset = 0;
    for spec in specs {
        let few = simclr_testkit::formula_values(&spec.original_name, 4096, -0.05, 0.05);
        let few: Vec<u8> = few.iter().flat_map(|value| value.to_le_bytes()).collect();
        let size = 4 * spec.element_count();
        let (mut left, mut crc) = (size, 0);
        while left > 0 {
            let piece = &few[..left.min(few.len())];
            crc = crc32c::crc32c_append(crc, piece);
            data.write_all(piece).unwrap();
            left -= piece.len();
        }
        let dim = spec
            .shape
            .iter()
            .map(|&size| Dim { size: size as i64 })
            .collect();
        let entry = Entry {
            dtype: 1,
            shape: Some(Shape { dim }),
            offset,
            size: size as i64,
            crc32c: mask(crc),
            ..Default::default()
        };
        offset += size as i64;
        entries.push((spec.original_name.into_bytes(), entry.encode_to_vec()));
    }
    data.flush().unwrap();
    std::fs::write(append(prefix, ".index"), table(&entries, Layout::default())).unwrap();
}

pub(crate) fn append(prefix: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn store(variable: &Written, shards: &mut [Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let shape = |sizes: &[i64]| {
        let dim = sizes.iter().map(|&size| Dim { size }).collect();
        Some(Shape { dim })
    };
    let mut whole = Entry {
        dtype: variable.data_type,
        shape: shape(&variable.shape),
        ..Default::default()
    };
    let mut entries = Vec::new();
    for part in &variable.parts {
        let shard = &mut shards[part.shard];
        let offset = shard.len() as i64;
        shard.extend(&part.bytes);
        let stored = Entry {
            dtype: variable.data_type,
            shape: shape(&part.size),
            shard_id: part.shard as i32,
            offset,
            size: part.bytes.len() as i64,
            crc32c: mask(part.checksum.unwrap_or(crc32c::crc32c(&part.bytes))),
            slices: Vec::new(),
        };
        if part.size == variable.shape {
            return vec![(variable.name.clone().into_bytes(), stored.encode_to_vec())];
        }
        let extents: Vec<(i64, Option<i64>)> = (0..part.size.len())
            .map(|axis| match part.size[axis] == variable.shape[axis] {
                true => (0, None),
                false => (part.start[axis], Some(part.size[axis])),
            })
            .collect();
        let extent = extents
            .iter()
            .map(|&(start, length)| Extent { start, length });
        whole.slices.push(Slice {
            extent: extent.collect(),
        });
        entries.push((slice_key(&variable.name, &extents), stored.encode_to_vec()));
    }
    entries.push((variable.name.clone().into_bytes(), whole.encode_to_vec()));
    entries
}

/// Only for what tests need: names without 00 and ff, and numbers below 2^13.
fn slice_key(name: &str, extents: &[(i64, Option<i64>)]) -> Vec<u8> {
    let mut key = vec![0];
    key.extend(name.as_bytes());
    key.extend([0, 1, 1, extents.len() as u8]);
    for &(start, length) in extents {
        for number in [start, length.unwrap_or(-1)] {
            match number {
                -64..64 => key.push(0x80 ^ number as u8),
                64..8192 => key.extend([0xc0 | (number >> 8) as u8, number as u8]),
                _ => unreachable!("test data has no such sizes"),
            }
        }
    }
    key
}

pub(crate) fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The bytes of an index file with these keys and values.
pub(crate) fn table(entries: &[(Vec<u8>, Vec<u8>)], layout: Layout) -> Vec<u8> {
    let mut file = Vec::new();
    let mut handles = Vec::new();
    let mut block = Block::new(layout.restart_interval);
    for (key, value) in entries {
        block.push(key, value);
        if block.bytes.len() >= layout.block_size {
            handles.push((
                key.clone(),
                write_block(&mut file, block.finish(), layout.snappy),
            ));
            block = Block::new(layout.restart_interval);
        }
    }
    if let Some(last) = block.last.clone() {
        handles.push((last, write_block(&mut file, block.finish(), layout.snappy)));
    }
    let meta = write_block(&mut file, Block::new(1).finish(), false);
    let mut index = Block::new(1);
    for (key, handle) in &handles {
        index.push(key, handle);
    }
    let index = write_block(&mut file, index.finish(), layout.snappy);
    let mut footer = [meta, index].concat();
    footer.resize(40, 0);
    footer.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
    file.extend(footer);
    file
}

struct Block {
    bytes: Vec<u8>,
    last: Option<Vec<u8>>,
    restarts: Vec<u32>,
    interval: usize,
    count: usize,
}

impl Block {
    fn new(interval: usize) -> Self {
        Self {
            bytes: Vec::new(),
            last: None,
            restarts: Vec::new(),
            interval,
            count: 0,
        }
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        let mut shared = 0;
        if self.count.is_multiple_of(self.interval) {
            self.restarts.push(self.bytes.len() as u32);
        } else if let Some(last) = &self.last {
            shared = last.iter().zip(key).take_while(|(a, b)| a == b).count();
        }
        for length in [shared, key.len() - shared, value.len()] {
            push_varint(&mut self.bytes, length as u64);
        }
        self.bytes.extend(&key[shared..]);
        self.bytes.extend(value);
        self.last = Some(key.to_vec());
        self.count += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.restarts.is_empty() {
            self.restarts.push(0);
        }
        let count = self.restarts.len() as u32;
        for offset in self.restarts {
            self.bytes.extend(offset.to_le_bytes());
        }
        self.bytes.extend(count.to_le_bytes());
        self.bytes
    }
}

/// Appends the block with its trailer; gives its handle.
fn write_block(file: &mut Vec<u8>, block: Vec<u8>, snappy: bool) -> Vec<u8> {
    let mut stored = match snappy {
        true => snap::raw::Encoder::new().compress_vec(&block).unwrap(),
        false => block,
    };
    let mut handle = Vec::new();
    push_varint(&mut handle, file.len() as u64);
    push_varint(&mut handle, stored.len() as u64);
    stored.push(u8::from(snappy));
    let crc = mask(crc32c::crc32c(&stored));
    file.extend(stored);
    file.extend(crc.to_le_bytes());
    handle
}

pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
