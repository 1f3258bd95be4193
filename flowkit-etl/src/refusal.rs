//! What the other side of HTTP says when it does not do what it was asked.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::error::ErrorKind;

/// What can be done about an answer of this status; nothing, if it is one of success.
pub(crate) fn kind_of(status: StatusCode) -> Option<ErrorKind> {
    Some(match status {
        status if status.is_success() => return None,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ErrorKind::Access
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::NotFound,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
            ErrorKind::Unavailable
        }
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Options,
    })
}

/// How long the other side says to wait, if it says so in seconds. A date would be by its clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
