//! The integration tests of the crate, in one program.

#[cfg(feature = "tensorflow")]
mod bundle;
#[cfg(feature = "tensorflow")]
mod import;
#[cfg(feature = "tensorflow")]
mod network;
#[cfg(feature = "tensorflow")]
mod network_files;
#[cfg(feature = "tensorflow")]
mod object_graphs;
#[cfg(feature = "tensorflow")]
mod other_formats;
mod own_format;
mod pickle;
mod pickled;
mod pytorch_kinds;
mod pytorch_names;
mod random;
mod shards;
#[cfg(feature = "tensorflow")]
mod support;
#[cfg(feature = "tensorflow")]
mod tensorflow_bundle;
#[cfg(feature = "tensorflow")]
mod tensorflow_mutations;
#[cfg(feature = "tensorflow")]
mod tensorflow_round_trip;
mod torch_network;
mod torchvision;
