//! Where images lie.

/// Where an image was taken along a hole, or along another line.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthPosition {
    /// The line: a hole, or a section whose depth is not known. Positions on different lines are
    /// never near each other.
    pub hole: String,
    /// The distance of the image's middle from the top of the line, in metres.
    pub depth: f64,
}
