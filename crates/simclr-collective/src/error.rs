//! The errors of collective operations.

/// Why an operation of several ranks did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rank ended the work of all.
    #[error("rank {rank} ended all ranks: {message}")]
    Aborted {
        /// The rank.
        rank: usize,
        /// What it said.
        message: String,
    },
    /// A rank is done or has panicked, and the others still wait for it.
    #[error("rank {rank} left while other ranks waited for it")]
    Left {
        /// The rank.
        rank: usize,
    },
    /// Ranks do different things at the same time.
    #[error("rank {rank} calls {found}, but rank 0 calls {expected}")]
    Mismatch {
        /// The rank.
        rank: usize,
        /// Its call.
        found: String,
        /// The call of rank 0.
        expected: String,
    },
    /// What carries the bytes has failed.
    #[error("{operation}: {reason}")]
    Transport {
        /// The operation.
        operation: &'static str,
        /// What the transport says.
        reason: String,
    },
    /// A buffer has a length that the operation is not defined for, or there is no such rank.
    #[error("{operation}: expected {expected}, found {found}")]
    Argument {
        /// The operation.
        operation: &'static str,
        /// What is possible.
        expected: String,
        /// What was given.
        found: usize,
    },
}

/// The result of a collective operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
