//! HTTP: what is asked, how one is let in, and what is done when the other side is busy. What an API answers is read by an [`HttpSource`](crate::source::HttpSource), a file by the source of its format, at an address that is a `Location`.

mod auth;
mod endpoint;
#[cfg(feature = "files")]
mod file;
mod pace;
mod pages;
mod raw;

pub use self::auth::Auth;
pub use self::endpoint::{DEFAULT_RETRIES, DEFAULT_TIMEOUT, Endpoint, MAX_PAGE_BYTES};
pub use self::pages::Pages;

pub(crate) use self::endpoint::Answer;
#[cfg(feature = "files")]
pub(crate) use self::file::UrlFile;
pub(crate) use self::pages::{Course, Page};
pub(crate) use self::raw::Raw;
