//! A writer of tensor bundles for tests. It shares no code with the reader, and is held against
//! files that TensorFlow wrote.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;

/// One variable: its name, TensorFlow's number of its type, and the blocks it is stored in.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) data_type: i32,
    pub(crate) shape: Vec<i64>,
    pub(crate) parts: Vec<Part>,
}

/// A slice of a variable: start and length along each axis (`None`: all of it), its bytes and its
/// shard.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) extents: Vec<Option<(i64, i64)>>,
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

/// A protobuf message, field by field. Zero is left out, as proto3 does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn integer(mut self, number: u64, value: i64) -> Self {
        if value != 0 {
            push_varint(&mut self.0, number << 3);
            push_varint(&mut self.0, value as u64);
        }
        self
    }

    pub(crate) fn bytes(mut self, number: u64, bytes: &[u8]) -> Self {
        push_varint(&mut self.0, number << 3 | 2);
        push_varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn messages(self, number: u64, all: impl IntoIterator<Item = Self>) -> Self {
        let append = |message: Self, inner: Self| message.bytes(number, &inner.0);
        all.into_iter().fold(self, append)
    }

    fn fixed32(mut self, number: u64, value: u32) -> Self {
        push_varint(&mut self.0, number << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }
}

/// `BundleHeaderProto`.
pub(crate) fn header(shards: i64, endianness: i64, min_consumer: i64) -> Vec<u8> {
    let version = Message::default().integer(1, 1).integer(2, min_consumer);
    let header = Message::default().integer(1, shards).integer(2, endianness);
    header.bytes(3, &version.0).0
}

/// `BundleEntryProto` without slices.
pub(crate) fn entry(
    data_type: i32,
    shape: &[i64],
    (shard, offset, size): (usize, usize, i64),
    checksum: u32,
) -> Message {
    let dims = shape
        .iter()
        .map(|&size| Message::default().integer(1, size));
    let shape = Message::default().messages(2, dims);
    Message::default()
        .integer(1, i64::from(data_type))
        .bytes(2, &shape.0)
        .integer(3, shard as i64)
        .integer(4, offset as i64)
        .integer(5, size)
        .fixed32(6, mask(checksum))
}

/// A name-based variable of type f32, in one piece.
pub(crate) fn float_variable(name: &str, shape: &[usize], values: &[f32]) -> Written {
    Written {
        name: name.to_owned(),
        shape: shape.iter().map(|&size| size as i64).collect(),
        data_type: 1,
        parts: vec![Part {
            extents: vec![None; shape.len()],
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
    Written {
        name: name.to_owned(),
        data_type,
        shape: vec![count as i64],
        parts: vec![Part {
            extents: vec![None],
            bytes,
            shard: 0,
            checksum: Some(checksum),
        }],
    }
}

/// `TrackableObjectGraph`.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Names and nodes.
    children: Vec<(String, usize)>,
    /// Full names and keys of values.
    pub(crate) values: Vec<(String, String)>,
    /// Nodes of variables, the optimizer's word, nodes of slots.
    pub(crate) slots: Vec<(usize, String, usize)>,
}

impl Node {
    fn message(&self) -> Message {
        let child = |(name, node): &(String, usize)| {
            let child = Message::default().integer(1, *node as i64);
            child.bytes(2, name.as_bytes())
        };
        let value = |(full_name, key): &(String, String)| {
            let name = Message::default().bytes(1, b"VARIABLE_VALUE");
            let name = name.bytes(2, full_name.as_bytes());
            name.bytes(3, key.as_bytes())
        };
        let slot = |(original, word, slot): &(usize, String, usize)| {
            let original = Message::default().integer(1, *original as i64);
            let word = original.bytes(2, word.as_bytes());
            word.integer(3, *slot as i64)
        };
        Message::default()
            .messages(1, self.children.iter().map(child))
            .messages(2, self.values.iter().map(value))
            .messages(3, self.slots.iter().map(slot))
    }
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
                .filter(|child| child.0 == name)
                .map(|child| child.1)
                .next();
            at = known.unwrap_or_else(|| {
                let node = self.nodes.len();
                self.nodes[at].children.push((name.to_owned(), node));
                self.nodes.push(Node::default());
                node
            });
        }
        at
    }

    /// The variable that holds the graph.
    pub(crate) fn written(&self) -> Written {
        let graph = Message::default().messages(1, self.nodes.iter().map(Node::message));
        let mut written = string_variable("_CHECKPOINTABLE_OBJECT_GRAPH", &[&graph.0]);
        written.shape.clear();
        written.parts[0].extents.clear();
        written
    }
}

/// Writes `PREFIX.index` and the data files.
pub(crate) fn write_bundle(prefix: &Path, variables: &[Written], layout: Layout) {
    let mut shards = vec![Vec::new(); layout.shards];
    let mut entries = vec![(Vec::new(), header(layout.shards as i64, 0, 0))];
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
    let mut entries = vec![(Vec::new(), header(1, 0, 0))];
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
        let shape: Vec<i64> = spec.shape.iter().map(|&size| size as i64).collect();
        let entry = entry(1, &shape, (0, offset, size as i64), crc);
        offset += size;
        entries.push((spec.original_name.into_bytes(), entry.0));
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
    let name = variable.name.as_bytes();
    let mut entries = Vec::new();
    let mut slices = Vec::new();
    for part in &variable.parts {
        let shard = &mut shards[part.shard];
        let at = (part.shard, shard.len(), part.bytes.len() as i64);
        shard.extend(&part.bytes);
        let lengths = part.extents.iter().zip(&variable.shape);
        let shape: Vec<i64> = lengths
            .map(|(extent, &whole)| extent.map_or(whole, |(_, length)| length))
            .collect();
        let checksum = part.checksum.unwrap_or(crc32c::crc32c(&part.bytes));
        let entry = entry(variable.data_type, &shape, at, checksum);
        if part.extents.iter().all(Option::is_none) {
            return vec![(name.to_vec(), entry.0)];
        }
        let extents = part.extents.iter().map(|extent| {
            let Some((start, length)) = *extent else {
                return Message::default();
            };
            // The length is one of a `oneof`: written also if it is zero.
            let mut message = Message::default().integer(1, start);
            message.0.push(2 << 3);
            push_varint(&mut message.0, length as u64);
            message
        });
        slices.push(Message::default().messages(1, extents));
        entries.push((slice_key(&variable.name, &part.extents), entry.0));
    }
    // The whole has no bytes of its own, and no checksum.
    let dims = variable
        .shape
        .iter()
        .map(|&size| Message::default().integer(1, size));
    let whole = Message::default()
        .integer(1, i64::from(variable.data_type))
        .bytes(2, &Message::default().messages(2, dims).0)
        .messages(7, slices);
    entries.push((name.to_vec(), whole.0));
    entries
}

/// Only for what tests need: names without 00 and ff, and numbers below 2^13.
fn slice_key(name: &str, extents: &[Option<(i64, i64)>]) -> Vec<u8> {
    let mut key = vec![0];
    key.extend(name.as_bytes());
    key.extend([0, 1, 1, extents.len() as u8]);
    for extent in extents {
        let (start, length) = extent.unwrap_or((0, -1));
        for number in [start, length] {
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
    if let Some(mut last) = block.last.clone() {
        // The shortest key that sorts behind all of them.
        last.truncate(1);
        last.iter_mut()
            .for_each(|byte| *byte = byte.wrapping_add(1));
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
    let mut stored = if snappy {
        snap::raw::Encoder::new().compress_vec(&block).unwrap()
    } else {
        block
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
