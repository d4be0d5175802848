//! One error type for the crate; the binding maps each variant to the Python exception a caller expects.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: becomes OSError (FileNotFoundError, PermissionError, ...) by its errno.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },

    /// A file whose bytes are not what its format promises: becomes dolma_pipeline.errors.DataError.
    #[error("{path}: {reason}")]
    Data { path: PathBuf, reason: String },

    /// A caller's argument out of range or of the wrong kind: becomes ValueError.
    #[error("{0}")]
    Invalid(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn io(path: &Path, source: io::Error) -> Self {
        Error::Io { path: path.to_path_buf(), source }
    }

    pub fn data(path: &Path, reason: impl Into<String>) -> Self {
        Error::Data { path: path.to_path_buf(), reason: reason.into() }
    }

    pub fn invalid(reason: impl Into<String>) -> Self {
        Error::Invalid(reason.into())
    }
}
