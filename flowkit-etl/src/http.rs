//! HTTP: what is asked, how one is let in, and what is done when the other side is busy. What an API answers is read by an [`HttpSource`](crate::source::HttpSource).

mod auth;
mod endpoint;
mod pages;

pub use self::auth::Auth;
pub use self::endpoint::{DEFAULT_RETRIES, DEFAULT_TIMEOUT, Endpoint, MAX_PAGE_BYTES};
pub use self::pages::Pages;

pub(crate) use self::endpoint::Answer;
pub(crate) use self::pages::Page;
