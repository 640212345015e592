//! Bytes to a file or a writer.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::output::FileError;
use crate::output::media::MediaEncoderError;
use crate::output::media::destination::{Bridge, Destination, Target};

pub(super) enum Sink {
    /// Each piece is handed to the system at once, where it survives the end of this process.
    File {
        file: File,
        path: std::path::PathBuf,
    },
    Writer(BufWriter<Box<dyn Write + Send>>),
    Bridge(BufWriter<Bridge>),
}

impl Sink {
    pub(super) fn open(
        destination: Destination,
        buffer_size: usize,
        runtime: Option<tokio::runtime::Handle>,
    ) -> Result<Self, MediaEncoderError> {
        Ok(match destination.0 {
            Target::Path(path) => match File::create(&path) {
                Ok(file) => Self::File { file, path },
                Err(reason) => return Err(FileError::new(path, "create", reason).into()),
            },
            Target::Writer(writer) => Self::Writer(BufWriter::with_capacity(buffer_size, writer)),
            Target::AsyncWriter(writer) => {
                let runtime = runtime.ok_or(MediaEncoderError::NoRuntime)?;
                let bridge = Bridge { writer, runtime };
                Self::Bridge(BufWriter::with_capacity(buffer_size, bridge))
            }
            Target::Url(_) => {
                return Err(MediaEncoderError::needs_ffmpeg(
                    "writing a file to an address",
                ));
            }
        })
    }

    /// Writes a piece of the container whole.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), MediaEncoderError> {
        match self {
            Self::File { file, path } => file
                .write_all(piece)
                .map_err(|reason| FileError::new(path.clone(), "write to", reason).into()),
            Self::Writer(writer) => Ok(in_parts(writer, piece)?),
            Self::Bridge(writer) => Ok(in_parts(writer, piece)?),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), MediaEncoderError> {
        match self {
            Self::File { .. } => {}
            Self::Writer(writer) => writer.flush()?,
            Self::Bridge(writer) => writer.flush()?,
        }
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<(), MediaEncoderError> {
        self.flush()?;
        if let Self::Bridge(writer) = self {
            writer.get_mut().shutdown()?;
        }
        Ok(())
    }
}

/// A buffer passes on at once what is longer than itself, and is passed on early by what does not
/// fit: in parts that fit, the writer always gets full buffers and never more.
fn in_parts(writer: &mut BufWriter<impl Write>, piece: &[u8]) -> io::Result<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        let room = match writer.capacity() - writer.buffer().len() {
            0 => writer.capacity().max(1),
            room => room,
        };
        let (part, later) = rest.split_at(room.min(rest.len()));
        writer.write_all(part)?;
        rest = later;
    }
    Ok(())
}
