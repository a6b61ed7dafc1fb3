/// What can go wrong while images are chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is given of the images does not fit together.
    #[error("{subject}: expected {expected}, found {found}")]
    Mismatch {
        /// What it is about.
        subject: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A setting is out of range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The values it may have.
        expected: &'static str,
        /// The value it has.
        found: String,
    },
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Fails with [`Error::Mismatch`] unless what is given fits.
pub(crate) fn check(
    fits: bool,
    subject: &'static str,
    expected: impl ToString,
    found: impl ToString,
) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::Mismatch {
        subject,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}
