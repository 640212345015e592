//! A file that is playable whatever happens to its writer.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {reason}", path = .path.display())]
pub struct FileError {
    path: PathBuf,
    action: &'static str,
    #[source]
    reason: io::Error,
}

impl FileError {
    pub(crate) fn new(path: PathBuf, action: &'static str, reason: io::Error) -> Self {
        Self {
            path,
            action,
            reason,
        }
    }

    /// What the system said.
    #[must_use]
    pub fn io(&self) -> &io::Error {
        &self.reason
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file that grows by whole segments: what cannot be written whole is taken back.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl SegmentFile {
    /// Creates the file, or empties it if it exists.
    ///
    /// # Errors
    /// [`FileError`] when the path cannot be written.
    pub async fn create(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        match File::create(&path).await {
            Ok(file) => Ok(Self {
                path,
                file,
                length: 0,
            }),
            Err(reason) => Err(FileError {
                path,
                action: "create",
                reason,
            }),
        }
    }

    /// Appends a segment and hands it to the system, where it survives the end of this process.
    ///
    /// # Errors
    /// [`FileError`], a full disk for example; the file then ends with the segment before.
    pub async fn append(&mut self, segment: &Bytes) -> Result<(), FileError> {
        let written = async {
            self.file.write_all(segment).await?;
            self.file.flush().await
        };
        match written.await {
            Ok(()) => {
                self.length += segment.len() as u64;
                Ok(())
            }
            Err(reason) => {
                self.take_back().await;
                Err(FileError {
                    path: self.path.clone(),
                    action: "write to",
                    reason,
                })
            }
        }
    }

    /// Bytes written.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn take_back(&mut self) {
        // If this fails too, players still play up to the torn segment.
        let _ = self.file.set_len(self.length).await;
        let _ = self.file.seek(SeekFrom::Start(self.length)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_that_cannot_be_written_is_named() {
        let error = SegmentFile::create("/nonexistent/folder/out.mp4")
            .await
            .expect_err("no folder");
        assert!(
            error.to_string().contains("/nonexistent/folder/out.mp4"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error() {
        // Every write to this device says that the disk is full.
        let mut file = SegmentFile::create("/dev/full")
            .await
            .expect("the device opens");
        let error = file
            .append(&Bytes::from_static(b"segment"))
            .await
            .expect_err("it is full");
        assert_eq!(error.io().kind(), io::ErrorKind::StorageFull);
        assert!(file.is_empty());
    }
}
