//! The messages of an event file, as in TensorFlow's `event.proto` and `summary.proto`. Fields
//! that nothing here needs are left out; the decoder skips them.

/// What happened at a moment of a run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// How many steps had been taken.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// What it was.
    #[prost(oneof = "What", tags = "3, 5")]
    pub what: Option<What>,
}

/// The kinds of events.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum What {
    /// The version of the format: the first event of each file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// Values.
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// Values of one step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    /// The values, each with its name.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// A value with its name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// Its name. What stands before a slash is the group under which it is shown.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// The value.
    #[prost(oneof = "Content", tags = "2, 4")]
    pub content: Option<Content>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Content {
    /// A number.
    #[prost(float, tag = "2")]
    Scalar(f32),
    /// A picture.
    #[prost(message, tag = "4")]
    Image(Image),
}

/// A picture.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Image {
    /// In pixels.
    #[prost(int32, tag = "1")]
    pub height: i32,
    /// In pixels.
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// The number of channels: 3 for RGB.
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    /// The bytes of a PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub encoded: Vec<u8>,
}
