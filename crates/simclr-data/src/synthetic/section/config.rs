use crate::Seed;
use crate::error::{Result, check};
use crate::setters::setters;
use crate::synthetic::disturbance::Disturbance;

/// No interval of one disturbance is thinner.
pub(super) const THINNEST_CM: f64 = 12.0;

/// A [`SyntheticHole`](super::SyntheticHole).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SyntheticHoleConfig {
    /// How many sections there are. Default: 12.
    pub sections: usize,
    /// Length of a section in centimetres, at least 40. Default: 150.
    pub length_cm: f64,
    /// Width of the core in centimetres. Default: 6.6.
    pub core_width_cm: f64,
    /// Pixels per centimetre, at least 4. Default: 50.
    pub pixels_per_cm: f64,
    /// The disturbances that occur. Default: all ten.
    pub kinds: Vec<Disturbance>,
    /// Mean thickness of the intervals in centimetres, at least 12. Default: 35.
    pub interval_cm: f64,
    /// The largest angle in degrees between core and picture, 0 to 5. Default: 0.8.
    pub tilt: f64,
    /// Metres of depth within which the sediment's colour, contrast and bedding change from one
    /// random choice to the next. Default: none, each section has a sediment of its own.
    pub drift_m: Option<f64>,
    /// Seed of everything. Default: 0.
    pub seed: Seed,
}

impl Default for SyntheticHoleConfig {
    fn default() -> Self {
        Self {
            sections: 12,
            length_cm: 150.0,
            core_width_cm: 6.6,
            pixels_per_cm: 50.0,
            kinds: Disturbance::ALL.to_vec(),
            interval_cm: 35.0,
            tilt: 0.8,
            drift_m: None,
            seed: Seed(0),
        }
    }
}

impl SyntheticHoleConfig {
    setters! {
        with_sections(sections: usize);
        with_pixels_per_cm(pixels_per_cm: f64);
        with_kinds(kinds: Vec<Disturbance>);
        with_interval_cm(interval_cm: f64);
        with_tilt(tilt: f64);
        with_drift_m(drift_m: Option<f64>);
        with_seed(seed: Seed);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for one that is out of range.
    pub fn validate(&self) -> Result<()> {
        let range = |name, value: f64, low: f64, high: f64, expected| {
            check((low..=high).contains(&value), name, expected, value)
        };
        check(self.sections > 0, "sections", "at least 1", self.sections)?;
        check(!self.kinds.is_empty(), "kinds", "at least one", 0)?;
        range("length_cm", self.length_cm, 40.0, 1000.0, "40 to 1000")?;
        range("core_width_cm", self.core_width_cm, 2.0, 20.0, "2 to 20")?;
        range("pixels_per_cm", self.pixels_per_cm, 4.0, 400.0, "4 to 400")?;
        range(
            "interval_cm",
            self.interval_cm,
            THINNEST_CM,
            1e4,
            "at least 12",
        )?;
        range("tilt", self.tilt, 0.0, 5.0, "0 to 5 degrees")?;
        let drift = self.drift_m.unwrap_or(1.0);
        range("drift_m", drift, 0.1, 1e4, "0.1 to 10000 m")
    }
}
