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
    #[arg(long, default_value_t)]
    device: DeviceName,
}

/// A device by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DeviceName {
    #[default]
    Cpu,
    Cuda(usize),
    Metal(usize),
}

impl DeviceArgument {
    /// The device. Tensors of two calls do not mix, unless it is the CPU.
    ///
    /// # Errors
    /// A program without the feature of its name; a device that is not there.
    pub fn open(self) -> AnyResult<Device> {
        let name = self.device;
        let missing = |feature: &str| {
            let reason = format!("--device {name} needs a program with the feature `{feature}`");
            Err(reason.into())
        };
        let device = match name {
            DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda(_) if !cuda_is_available() => return missing("cuda"),
            DeviceName::Cuda(number) => Device::new_cuda(number),
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
            Self::Cuda(number) => write!(f, "cuda:{number}"),
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
            ("cuda", Ok(number)) => Ok(Self::Cuda(number)),
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
        assert_eq!(device("cuda"), Ok(DeviceName::Cuda(0)));
        assert_eq!(device("cuda:3"), Ok(DeviceName::Cuda(3)));
        assert_eq!(device("metal"), Ok(DeviceName::Metal(0)));
        for wrong in ["", "gpu", "cpu:1", "cuda:", "cuda:-1", "cuda:x"] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
        assert_eq!(DeviceName::Cuda(3).to_string(), "cuda:3");
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_built_in_is_refused_by_name() {
        let device = DeviceName::Cuda(1);
        let error = DeviceArgument { device }.open().unwrap_err().to_string();
        assert!(
            error.contains("--device cuda:1") && error.contains("`cuda`"),
            "{error}"
        );
        assert!(DeviceArgument::default().open().unwrap().is_cpu());
    }
}
