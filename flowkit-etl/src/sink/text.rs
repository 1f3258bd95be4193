//! Text on its way into a file, perhaps compressed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use arrow_schema::ArrowError;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::format::Compression;

/// Text on its way into a file.
pub(crate) enum Encoder {
    Plain(BufWriter<File>),
    #[cfg(feature = "compression")]
    Gzip(Box<flate2::write::GzEncoder<BufWriter<File>>>),
    #[cfg(feature = "compression")]
    Zstd(Box<zstd::stream::write::Encoder<'static, BufWriter<File>>>),
}

impl Encoder {
    pub(crate) fn new(path: &Path, file: BufWriter<File>, compression: Compression) -> Result<Self> {
        #[cfg(not(feature = "compression"))]
        let _ = path;
        match compression {
            Compression::None => Ok(Self::Plain(file)),
            #[cfg(feature = "compression")]
            Compression::Gzip => Ok(Self::Gzip(Box::new(flate2::write::GzEncoder::new(
                file,
                flate2::Compression::default(),
            )))),
            #[cfg(feature = "compression")]
            Compression::Zstd => zstd::stream::write::Encoder::new(file, 3)
                .map(|encoder| Self::Zstd(Box::new(encoder)))
                .map_err(|error| Error::io("write", path, error)),
        }
    }

    pub(crate) fn finish(self) -> io::Result<File> {
        let file = match self {
            Self::Plain(file) => file,
            #[cfg(feature = "compression")]
            Self::Gzip(encoder) => encoder.finish()?,
            #[cfg(feature = "compression")]
            Self::Zstd(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            #[cfg(feature = "compression")]
            Self::Gzip(encoder) => encoder.write(bytes),
            #[cfg(feature = "compression")]
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing: the CSV writer flushes after each batch, and what follows is better compressed and written together with it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why text was not written.
pub(crate) fn unwritten(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io("write", path, error),
        error => {
            let message = format!("what is to be written cannot be in {}", path.display());
            Error::new(ErrorKind::Schema, message).because(error)
        }
    }
}
