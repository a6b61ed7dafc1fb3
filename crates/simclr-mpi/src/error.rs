//! Why MPI cannot be used.

/// What can go wrong before the first operation. Later errors of MPI end all processes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// MPI was initialized before, here or elsewhere in the process.
    #[error("MPI is initialized already, and a process has one world")]
    Initialized,
    /// The library allows calls from one thread alone.
    #[error("the MPI library offers the thread level {found}, and Serialized is needed")]
    Threads {
        /// What it offers.
        found: String,
    },
}

/// The result of an initialization.
pub type Result<T, E = Error> = std::result::Result<T, E>;
