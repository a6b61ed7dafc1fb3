//! What is needed, beside the configuration, to repeat a run.

use std::collections::BTreeMap;
use std::time::SystemTime;

use candle_core::Device;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simclr_data::DatasetFacts;
use simclr_kernels::{BFloat16Kernel, Precision, SimdLevel};

/// What the caller knows about a run beside its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct RunFacts {
    /// The seeds, by what they are for.
    pub seeds: BTreeMap<String, u64>,
    /// The data sets, by their part in the run: `unlabelled`, `train`, ...
    pub datasets: BTreeMap<String, DatasetFacts>,
    /// Digests of what else decides the result, by what they are of: how the images are divided,
    /// say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
    /// The kind of device that computes, unless it is the CPU: results differ by rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl RunFacts {
    /// Adds a seed.
    pub fn seed(mut self, purpose: impl Into<String>, seed: u64) -> Self {
        self.seeds.insert(purpose.into(), seed);
        self
    }

    /// Adds a data set.
    pub fn dataset(mut self, part: impl Into<String>, facts: DatasetFacts) -> Self {
        self.datasets.insert(part.into(), facts);
        self
    }

    /// Adds a digest of something else that decides the result.
    pub fn digest(mut self, of: impl Into<String>, digest: impl Into<String>) -> Self {
        self.digests.insert(of.into(), digest.into());
        self
    }

    /// Sets the device that computes. Only its kind is kept.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = match device {
            Device::Cpu => None,
            Device::Cuda(_) => Some("cuda".to_owned()),
            Device::Metal(_) => Some("metal".to_owned()),
        };
        self
    }

    /// What must be the same in every session of a run. The data may move, so
    /// their place is not in it.
    pub(crate) fn identity(&self, arithmetic: &str) -> Value {
        let digests: BTreeMap<_, _> = self
            .datasets
            .iter()
            .map(|(part, facts)| (part, &facts.digest))
            .collect();
        json!({
            "seeds": self.seeds,
            "dataset digest": digests,
            "digest": (!self.digests.is_empty()).then_some(&self.digests),
            "device": self.device.as_deref().unwrap_or("cpu"),
            "arithmetic (SIMCLR_SIMD, SIMCLR_PRECISION, SIMCLR_BFLOAT16)": arithmetic,
        })
    }
}

/// One process that worked on a run: a resumed run has several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When it began, as RFC 3339 in UTC.
    pub started: String,
    /// Name and version of this library.
    pub library: String,
    /// Operating system and processor architecture.
    pub platform: String,
    /// Threads that compute.
    pub threads: usize,
    /// Instructions and precision of the fused kernels; results differ by rounding between
    /// them.
    #[serde(default)]
    pub arithmetic: String,
    /// The command line, program first.
    pub command: Vec<String>,
}

impl Manifest {
    /// The identity of the run that is recorded.
    pub(super) fn identity(&self) -> Value {
        let last = self.sessions.last();
        self.facts
            .identity(last.map_or("", |session| &session.arithmetic))
    }

    /// No seeds and data, and the process that calls.
    pub fn of_this_process() -> Self {
        Self {
            sessions: vec![Session::current()],
            ..Self::default()
        }
    }
}

impl Session {
    /// The process that calls.
    pub fn current() -> Self {
        Self {
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            library: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            threads: rayon::current_num_threads(),
            arithmetic: arithmetic().unwrap_or_else(|error| error.to_string()),
            command: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
        }
    }
}

/// The instruction set and the precision of the fused kernels, and what multiplies bfloat16 numbers
/// if there are any, as far as this thread is concerned.
/// Results differ by rounding between them.
///
/// # Errors
/// A choice, for example by an environment variable, that does not exist or not here.
pub fn arithmetic() -> simclr_kernels::Result<String> {
    let (level, precision) = (SimdLevel::current()?, Precision::current()?);
    Ok(match precision {
        Precision::Single => format!("{level}, {precision} precision"),
        _ => {
            let kernel = BFloat16Kernel::current()?;
            format!("{level}, {precision} precision by {kernel}")
        }
    })
}

/// `manifest.json` of a run folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Seeds and data.
    #[serde(flatten)]
    pub facts: RunFacts,
    /// The processes that worked on the run, oldest first.
    pub sessions: Vec<Session>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_survives_a_round_trip_and_names_this_process() {
        let facts = RunFacts::default().seed("views", 7).dataset(
            "train",
            DatasetFacts {
                source: "cores/".into(),
                images: 12,
                digest: "abc".into(),
            },
        );
        let manifest = Manifest {
            facts,
            sessions: vec![Session::current()],
        };
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        let session = &manifest.sessions[0];
        assert!(session.library.starts_with("simclr-train "));
        assert!(session.started.ends_with('Z') && session.started.len() == 20);
        assert!(!session.command.is_empty());
        assert!(session.arithmetic.ends_with("single precision"));
    }

    #[test]
    fn moving_the_data_does_not_change_the_run_but_other_data_do() {
        let facts = |source: &str, digest: &str| {
            RunFacts::default()
                .dataset(
                    "train",
                    DatasetFacts {
                        source: source.into(),
                        images: 1,
                        digest: digest.into(),
                    },
                )
                .identity("")
        };
        assert_eq!(facts("/a", "1"), facts("/b", "1"));
        assert_ne!(facts("/a", "1"), facts("/a", "2"));
        let groups = RunFacts::default().digest("groups", "1").identity("");
        assert_ne!(groups, RunFacts::default().identity(""));
    }
}
