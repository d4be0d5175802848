//! Files that are whole or not there: written under a temporary name, hashed on the way, renamed at the end.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::codec::{Compression, Encoder};
use crate::digest::Hashing;
use crate::{Error, Result};

/// What [`Writer::finish`] knows of the file: its length in bytes and its BLAKE3 in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub bytes: u64,
    pub blake3: String,
}

/// Writes `path` by way of `.NAME.tmp-PID` beside it. Dropped without `finish`, it removes the temporary file.
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    encoder: Option<Encoder<Hashing<File>>>,
}

impl Writer {
    /// Compression by the extension of `path`; missing directories are made.
    pub fn create(path: &Path, level: Option<i32>) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| Error::invalid(format!("{}: not a file name", path.display())))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        if !parent.as_os_str().is_empty() {
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        }
        let temporary = parent.join(format!(".{}.tmp-{}", name.to_string_lossy(), std::process::id()));
        let file = File::create(&temporary).map_err(|e| Error::io(&temporary, e))?;
        let encoder =
            Encoder::new(Compression::of(path), level, Hashing::new(file)).map_err(|e| Error::io(&temporary, e))?;
        Ok(Writer { path: path.to_path_buf(), temporary, encoder: Some(encoder) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder.write_all(bytes).map_err(|e| Error::io(&self.path, e)),
            None => Err(Error::invalid(format!("{}: already finished", self.path.display()))),
        }
    }

    /// Completes the file, forces it to disk, and gives it its name.
    pub fn finish(&mut self) -> Result<Written> {
        let encoder =
            self.encoder.take().ok_or_else(|| Error::invalid(format!("{}: already finished", self.path.display())))?;
        let done = encoder.finish().and_then(|hashing| {
            hashing.get_ref().sync_data()?;
            let written = Written { bytes: hashing.bytes(), blake3: hashing.hex() };
            fs::rename(&self.temporary, &self.path)?;
            Ok(written)
        });
        done.map_err(|e| {
            let _ = fs::remove_file(&self.temporary);
            Error::io(&self.path, e)
        })
    }

    /// Gives the file up; nothing of it stays.
    pub fn abort(&mut self) {
        if self.encoder.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.abort();
    }
}
