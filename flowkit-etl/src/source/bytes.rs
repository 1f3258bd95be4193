//! The bytes of a file, decompressed if it is compressed, whatever its name says.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// How much is read from a file at once.
const CHUNK: usize = 256 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

type Buffered = BufReader<Box<dyn Read + Send>>;

/// The content of a file, of which these are the bytes. That it is compressed shows in the first of them.
///
/// # Errors
/// When it cannot be read, or is compressed and this program was built without the feature `compression`.
pub(crate) fn decompressed(path: &Path, file: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let failed = |error: io::Error| Error::io("read", path, error);
    let mut file = BufReader::with_capacity(CHUNK, file);
    let head = file.fill_buf().map_err(failed)?;
    if head.starts_with(&GZIP) {
        gunzip(path, file)
    } else if head.starts_with(&ZSTD) {
        unzstd(path, file)
    } else {
        Ok(Box::new(file))
    }
}

#[cfg(feature = "compression")]
#[allow(clippy::unnecessary_wraps, reason = "fails without the feature")]
fn gunzip(_: &Path, file: Buffered) -> Result<Box<dyn Read + Send>> {
    // Several members one after the other are one file, as for gzip itself.
    Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)))
}

#[cfg(feature = "compression")]
fn unzstd(path: &Path, file: Buffered) -> Result<Box<dyn Read + Send>> {
    let decoder =
        zstd::stream::read::Decoder::with_buffer(file).map_err(|error| Error::io("read", path, error))?;
    Ok(Box::new(decoder))
}

#[cfg(not(feature = "compression"))]
fn gunzip(path: &Path, _: Buffered) -> Result<Box<dyn Read + Send>> {
    Err(compressed(path))
}

#[cfg(not(feature = "compression"))]
fn unzstd(path: &Path, _: Buffered) -> Result<Box<dyn Read + Send>> {
    Err(compressed(path))
}

#[cfg(not(feature = "compression"))]
fn compressed(path: &Path) -> Error {
    Error::new(
        crate::error::ErrorKind::Options,
        format!(
            "{} is compressed: build flowkit-etl with the feature `compression`",
            path.display()
        ),
    )
}
