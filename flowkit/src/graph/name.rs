//! What a run of the graph is called.

use std::ops::Deref;
use std::sync::Arc;

/// What a run is called.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    /// After its task, which most are: nothing is put together for it.
    Task(&'static str),
    Own(Arc<str>),
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Task(name) => name,
            Self::Own(name) => name,
        }
    }
}

impl From<Name> for Arc<str> {
    fn from(name: Name) -> Self {
        match name {
            Name::Task(name) => Self::from(name),
            Name::Own(name) => name,
        }
    }
}
