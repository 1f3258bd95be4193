//! Text on its way into a file, perhaps compressed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::ArrowError;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::format::Compression;

/// Text on its way into a file. What the file says against it is kept, since the CSV writer passes on only how it reads.
pub(crate) struct Encoder {
    way: Way,
    trouble: Trouble,
    taken: Taken,
}

/// How many bytes of text were taken, before they were compressed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a file said against being written.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<io::Error>>>);

enum Way {
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
        let way = match compression {
            Compression::None => Way::Plain(file),
            #[cfg(feature = "compression")]
            Compression::Gzip => {
                let level = flate2::Compression::default();
                Way::Gzip(Box::new(flate2::write::GzEncoder::new(file, level)))
            }
            #[cfg(feature = "compression")]
            Compression::Zstd => zstd::stream::write::Encoder::new(file, 3)
                .map(|encoder| Way::Zstd(Box::new(encoder)))
                .map_err(|error| Error::io("write", path, error))?,
        };
        Ok(Self {
            way,
            trouble: Trouble::default(),
            taken: Taken::default(),
        })
    }

    /// How much text it takes, from now on.
    pub(crate) fn taken(&self) -> Taken {
        self.taken.clone()
    }

    /// What its file says against being written, from now on.
    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    #[cfg_attr(
        not(feature = "compression"),
        allow(clippy::infallible_destructuring_match, reason = "there is one way")
    )]
    pub(crate) fn finish(self) -> io::Result<File> {
        let file = match self.way {
            Way::Plain(file) => file,
            #[cfg(feature = "compression")]
            Way::Gzip(encoder) => encoder.finish()?,
            #[cfg(feature = "compression")]
            Way::Zstd(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.way {
            Way::Plain(file) => file.write(bytes),
            #[cfg(feature = "compression")]
            Way::Gzip(encoder) => encoder.write(bytes),
            #[cfg(feature = "compression")]
            Way::Zstd(encoder) => encoder.write(bytes),
        };
        let written = written.map_err(|error| self.trouble.note(error))?;
        self.taken.0.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    /// Does nothing: the CSV writer flushes after each batch, and what follows is better compressed and written together with it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Trouble {
    fn lock(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error, and gives one of its kind in its place.
    fn note(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind != io::ErrorKind::Interrupted {
            *self.lock() = Some(error);
        }
        kind.into()
    }

    /// Why text was not written.
    pub(crate) fn why(&self, path: &Path, error: ArrowError) -> Error {
        if let Some(error) = self.lock().take() {
            return Error::io("write", path, error);
        }
        let message = format!("what is to be written cannot be in {}", path.display());
        Error::new(ErrorKind::Schema, message).because(error)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_is_no_fault_of_what_is_written() {
        let file = BufWriter::with_capacity(8, File::options().write(true).open("/dev/full").unwrap());
        let path = Path::new("plants.csv");
        let mut encoder = Encoder::new(path, file, Compression::None).unwrap();
        let trouble = encoder.trouble();
        assert!(encoder.write_all(b"plant,height\n").is_err());
        let error = trouble.why(path, ArrowError::CsvError("as a text".into()));
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Full, "cannot write plants.csv")
        );
        let error = trouble.why(path, ArrowError::CsvError("a list".into()));
        assert_eq!(error.kind(), ErrorKind::Schema, "it was told");
    }
}
