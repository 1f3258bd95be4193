//! The one error of this crate: what went wrong in terms of what can be done about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

/// What went wrong, in terms of what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was named is not there.
    NotFound,
    /// It is there, and this program may not use it.
    Access,
    /// Text is not in the encoding that was expected.
    Encoding,
    /// Data is not in the format that it is said to have.
    Format,
    /// Columns are not those that were expected: names, types, or missing values where none may be.
    Schema,
    /// More records were bad than is tolerated.
    Rejected,
    /// A check of the data's quality failed.
    Quality,
    /// Somebody else did meanwhile what this was about to do, or something else was done before under the same name.
    Conflict,
    /// An option makes no sense, or not together with another one.
    Options,
    /// The other side does not answer, or says that it is busy: another attempt may succeed.
    Unavailable,
    /// What is read is no more what it was when the reading began: another attempt reads what it is now.
    Changed,
    /// There is no room.
    Full,
    /// What was waited for did not come in time.
    TimedOut,
    /// Something else between here and where the data lies.
    Io,
}

/// What went wrong, and what to do about it. The cause, if another library told it, is its `source()`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind. The message says what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    /// With what it came from.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// An error of the file system, about doing this with a file. One of this crate's that came by way of [`io::Error`] is that itself.
    pub fn io(doing: &str, path: &Path, error: io::Error) -> Self {
        use io::ErrorKind as Io;
        let error = match error.downcast::<Self>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::NotADirectory | Io::IsADirectory => {
                ErrorKind::Access
            }
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Full,
            Io::TimedOut | Io::Interrupted | Io::WouldBlock => ErrorKind::Unavailable,
            Io::InvalidData | Io::UnexpectedEof | Io::InvalidInput => ErrorKind::Format,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("cannot {doing} {}", path.display())).because(error)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether another attempt may succeed although nobody changes anything: `#[task(retries = 3, retry_if = flowkit_etl::Error::is_transient)]`.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Unavailable | ErrorKind::Changed | ErrorKind::Io
        )
    }

    /// What it came from, the nearest first.
    fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.source(), |&cause| cause.source())
    }
}

/// In one line; as `{:#}`, with all its causes, as flowkit's own errors are told.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if f.alternate() {
            for cause in self.causes() {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        for cause in self.causes() {
            write!(f, "\n  caused by: {cause}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_file_system_is_told_by_what_can_be_done_about_it() {
        let error = |kind| Error::io("read", Path::new("plants.csv"), io::Error::from(kind));
        assert_eq!(error(io::ErrorKind::NotFound).kind(), ErrorKind::NotFound);
        assert_eq!(error(io::ErrorKind::StorageFull).kind(), ErrorKind::Full);
        assert!(error(io::ErrorKind::TimedOut).is_transient());
        assert!(!error(io::ErrorKind::PermissionDenied).is_transient());
        assert_eq!(
            error(io::ErrorKind::NotFound).to_string(),
            "cannot read plants.csv"
        );
    }

    #[test]
    fn the_report_of_an_error_goes_on_with_its_causes() {
        let error = Error::new(ErrorKind::Format, "cannot read a.csv").because("line 3 is too long");
        assert_eq!(
            format!("{error:?}"),
            "Format: cannot read a.csv\n  caused by: line 3 is too long"
        );
        assert_eq!(format!("{error:#}"), "cannot read a.csv: line 3 is too long");
        assert_eq!(error.to_string(), "cannot read a.csv");
    }
}
