//! The formats of files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The format of a file. Which there are depends on the features that this program was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FileFormat {
    /// CSV with a header. Missing values are empty fields.
    #[cfg(feature = "csv")]
    Csv,
    /// An object on each line. Missing values are null.
    #[cfg(feature = "json")]
    JsonLines,
    /// Parquet, compressed by snappy.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// How a text file is compressed. Parquet does that itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip, level 6.
    #[cfg(feature = "compression")]
    Gzip,
    /// By zstd, level 3.
    #[cfg(feature = "compression")]
    Zstd,
}

impl FileFormat {
    /// The usual end of a file's name, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            #[cfg(feature = "csv")]
            Self::Csv => "csv",
            #[cfg(feature = "json")]
            Self::JsonLines => "jsonl",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }

    /// What the name of a file says: `.csv`, `.jsonl`, `.ndjson` or `.parquet`, the first three perhaps with `.gz` or `.zst` after them.
    ///
    /// # Errors
    /// When it says nothing of the kind, or names what this program was built without.
    pub fn of_name(path: &Path) -> Result<(Self, Compression)> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let (name, compression) = match name.rsplit_once('.') {
            Some((rest, "gz")) => (rest, gzip()?),
            Some((rest, "zst")) => (rest, zstd()?),
            _ => (name, Compression::None),
        };
        let format = match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            #[cfg(feature = "csv")]
            "csv" => Self::Csv,
            #[cfg(feature = "json")]
            "jsonl" | "ndjson" => Self::JsonLines,
            #[cfg(feature = "parquet")]
            "parquet" if compression == Compression::None => Self::Parquet,
            _ => return Err(unknown(path)),
        };
        Ok((format, compression))
    }
}

impl Compression {
    /// What is put after a file's name, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            #[cfg(feature = "compression")]
            Self::Gzip => ".gz",
            #[cfg(feature = "compression")]
            Self::Zstd => ".zst",
        }
    }
}

fn unknown(path: &Path) -> Error {
    Error::new(
        ErrorKind::Options,
        format!(
            "the name of {} does not say a format that this program knows: it should end in .csv, .jsonl or .parquet (features `csv`, `json`, `parquet`)",
            path.display()
        ),
    )
}

#[cfg(feature = "compression")]
#[allow(clippy::unnecessary_wraps, reason = "fails without the feature")]
fn gzip() -> Result<Compression> {
    Ok(Compression::Gzip)
}

#[cfg(feature = "compression")]
#[allow(clippy::unnecessary_wraps, reason = "fails without the feature")]
fn zstd() -> Result<Compression> {
    Ok(Compression::Zstd)
}

#[cfg(not(feature = "compression"))]
fn gzip() -> Result<Compression> {
    Err(Error::new(
        ErrorKind::Options,
        "a compressed file needs the feature `compression` of flowkit-etl",
    ))
}

#[cfg(not(feature = "compression"))]
fn zstd() -> Result<Compression> {
    gzip()
}
