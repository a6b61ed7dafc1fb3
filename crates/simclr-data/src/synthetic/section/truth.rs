use crate::synthetic::disturbance::Disturbance;

/// A part of a section with one kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SectionInterval {
    /// Offset of its top from that of the section, in centimetres.
    pub top_cm: f64,
    /// Offset of its bottom.
    pub bottom_cm: f64,
    /// What happened to it.
    pub kind: Disturbance,
}

/// What is known about a photograph of a section.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SectionTruth {
    /// IODP's name of the section half, such as `999-U9999A-1H-2-A`.
    pub name: String,
    /// Depth of the section's top in metres.
    pub top_m: f64,
    /// Its length in centimetres.
    pub length_cm: f64,
    /// Pixels per centimetre.
    pub pixels_per_cm: f64,
    /// Column and row of the middle of the core's top, in pixels.
    pub top: (f64, f64),
    /// The angle in degrees by which the core is turned; positive if its bottom lies further
    /// to the left than its top.
    pub tilt: f64,
    /// Width of the core in pixels.
    pub width: f64,
    /// Offsets in centimetres of the tops and bottoms of gaps between pieces.
    pub gaps: Vec<(f64, f64)>,
    /// The kinds of disturbance from top to bottom, without holes.
    pub intervals: Vec<SectionInterval>,
}

impl SectionTruth {
    /// Column and row in the picture of a point of the core: `across` from its axis to the right
    /// and `offset` from its top, in centimetres.
    pub fn locate(&self, across: f64, offset: f64) -> (f64, f64) {
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let (u, v) = (across * self.pixels_per_cm, offset * self.pixels_per_cm);
        (
            self.top.0 + cos * u - sin * v,
            self.top.1 + sin * u + cos * v,
        )
    }

    /// The inverse of [`Self::locate`].
    pub(super) fn core_point(&self, column: f64, row: f64) -> (f64, f64) {
        let (sin, cos) = self.tilt.to_radians().sin_cos();
        let (x, y) = (column - self.top.0, row - self.top.1);
        let scale = self.pixels_per_cm;
        ((cos * x + sin * y) / scale, (cos * y - sin * x) / scale)
    }
}
