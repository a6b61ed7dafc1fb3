//! The messages in a bundle, as in TensorFlow's `tensor_bundle.proto`, `tensor_shape.proto`,
//! `tensor_slice.proto` and `trackable_object_graph.proto`. Fields that nothing here needs are
//! left out; the decoder skips them.

/// The value of the table's empty key.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BundleHeader {
    #[prost(int32, tag = "1")]
    pub(crate) num_shards: i32,
    /// 0: little, 1: big.
    #[prost(int32, tag = "2")]
    pub(crate) endianness: i32,
    #[prost(message, optional, tag = "3")]
    pub(crate) version: Option<Version>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Version {
    #[prost(int32, tag = "2")]
    pub(crate) min_consumer: i32,
    #[prost(int32, repeated, tag = "3")]
    pub(crate) bad_consumers: Vec<i32>,
}

/// Where a tensor, or a slice of one, is stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BundleEntry {
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
    /// Not empty: the values are under the keys of these slices.
    #[prost(message, repeated, tag = "7")]
    pub(crate) slices: Vec<Slice>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Shape {
    #[prost(message, repeated, tag = "2")]
    pub(crate) dim: Vec<Dim>,
    #[prost(bool, tag = "3")]
    pub(crate) unknown_rank: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Dim {
    #[prost(int64, tag = "1")]
    pub(crate) size: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Slice {
    #[prost(message, repeated, tag = "1")]
    pub(crate) extent: Vec<SliceExtent>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SliceExtent {
    #[prost(int64, tag = "1")]
    pub(crate) start: i64,
    /// None: the whole axis.
    #[prost(int64, optional, tag = "2")]
    pub(crate) length: Option<i64>,
}

/// The graph of objects whose variables are in an object-based checkpoint.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrackableObjectGraph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<TrackableObject>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrackableObject {
    #[prost(message, repeated, tag = "1")]
    pub(crate) children: Vec<ObjectReference>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) attributes: Vec<SerializedTensor>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) slot_variables: Vec<SlotVariable>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ObjectReference {
    #[prost(int32, tag = "1")]
    pub(crate) node_id: i32,
    #[prost(string, tag = "2")]
    pub(crate) local_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SerializedTensor {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) full_name: String,
    #[prost(string, tag = "3")]
    pub(crate) checkpoint_key: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SlotVariable {
    #[prost(int32, tag = "1")]
    pub(crate) original_variable_node_id: i32,
    #[prost(string, tag = "2")]
    pub(crate) slot_name: String,
    #[prost(int32, tag = "3")]
    pub(crate) slot_variable_node_id: i32,
}
