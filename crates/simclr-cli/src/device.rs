//! Where a program computes.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use candle_core::utils::{cuda_is_available, metal_is_available};
use clap::Args;

use crate::terminal::AnyResult;

/// The option `--device`.
#[derive(Args, Debug, Clone, Copy, Default)]
pub struct DeviceArgument {
    /// Where networks compute: cpu, cuda:N for the N-th GPU of Nvidia's, counted from 0, or metal.
    /// cuda alone is the first one, and for the processes of an MPI program each one's own.
    #[arg(long, default_value_t)]
    device: DeviceName,
}

/// A device by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DeviceName {
    #[default]
    Cpu,
    /// The first one, or each process's own, if there is no number.
    Cuda(Option<usize>),
    Metal(usize),
}

impl DeviceArgument {
    /// The device. Tensors of two calls do not mix, unless it is the CPU.
    ///
    /// # Errors
    /// A program without the feature of its name; a device that is not there.
    pub fn open(self) -> AnyResult<Device> {
        self.open_for(0)
    }

    /// The device of the process with this number on its machine, from 0.
    pub(crate) fn open_for(self, process: usize) -> AnyResult<Device> {
        let name = self.device;
        let missing = |feature: &str| {
            let reason = format!("--device {name} needs a program with the feature `{feature}`");
            Err(reason.into())
        };
        let device = match name {
            DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda(_) if !cuda_is_available() => return missing("cuda"),
            DeviceName::Cuda(number) => Device::new_cuda(number.unwrap_or(process)),
            DeviceName::Metal(_) if !metal_is_available() => return missing("metal"),
            DeviceName::Metal(number) => Device::new_metal(number),
        };
        device.map_err(|error| format!("--device {name}: {error}").into())
    }

    /// Whether it is the processor.
    pub(crate) fn is_cpu(self) -> bool {
        self.device == DeviceName::Cpu
    }

    /// The name that was given.
    pub(crate) fn name(self) -> DeviceName {
        self.device
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(number)) => write!(f, "cuda:{number}"),
            Self::Metal(number) => write!(f, "metal:{number}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    /// `cpu`, `cuda`, `cuda:1`, `metal` or `metal:1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number) = text.split_once(':').unwrap_or((text, "0"));
        match (kind, number.parse()) {
            ("cpu", _) if kind == text => Ok(Self::Cpu),
            ("cuda", _) if kind == text => Ok(Self::Cuda(None)),
            ("cuda", Ok(number)) => Ok(Self::Cuda(Some(number))),
            ("metal", Ok(number)) => Ok(Self::Metal(number)),
            _ => Err(format!("expected cpu, cuda:N or metal, found {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        let device = |text: &str| text.parse::<DeviceName>();
        assert_eq!(device("cpu"), Ok(DeviceName::Cpu));
        assert_eq!(device("cuda"), Ok(DeviceName::Cuda(None)));
        assert_eq!(device("cuda:3"), Ok(DeviceName::Cuda(Some(3))));
        assert_eq!(device("metal"), Ok(DeviceName::Metal(0)));
        for wrong in ["", "gpu", "cpu:1", "cuda:", "cuda:-1", "cuda:x"] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
        for name in ["cpu", "cuda", "cuda:3", "metal:0"] {
            assert_eq!(device(name).unwrap().to_string(), name);
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_built_in_is_refused_by_name() {
        let device = DeviceName::Cuda(Some(1));
        let error = DeviceArgument { device }.open().unwrap_err().to_string();
        assert!(
            error.contains("--device cuda:1") && error.contains("`cuda`"),
            "{error}"
        );
        assert!(DeviceArgument::default().open().unwrap().is_cpu());
    }
}
