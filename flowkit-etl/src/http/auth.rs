//! What lets one in.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::error::{Error, ErrorKind, Result};

/// What lets one in: a header of each request, which is shown nowhere and never becomes part of an address.
#[derive(Clone)]
pub struct Auth {
    name: HeaderName,
    value: HeaderValue,
}

impl Auth {
    /// A token: `Authorization: Bearer …`.
    ///
    /// # Errors
    /// When it has characters that no header can have.
    pub fn bearer(token: &str) -> Result<Self> {
        Self::of(AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// A user and a password: `Authorization: Basic …`.
    ///
    /// # Errors
    /// When the user's name has a colon, which ends it.
    pub fn basic(user: &str, password: &str) -> Result<Self> {
        if user.contains(':') {
            return Err(Error::new(
                ErrorKind::Options,
                "the name of a user cannot have a colon",
            ));
        }
        Self::of(
            AUTHORIZATION,
            &format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))),
        )
    }

    /// A header of another name: `X-Api-Key`.
    ///
    /// # Errors
    /// When the name or the value has characters that no header can have.
    pub fn header(name: &str, value: &str) -> Result<Self> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| {
            Error::new(
                ErrorKind::Options,
                format!("{name:?} cannot be the name of a header"),
            )
            .because(error)
        })?;
        Self::of(name, value)
    }

    /// A token that a variable of the environment has.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn bearer_from_env(variable: &str) -> Result<Self> {
        let token = std::env::var(variable).map_err(|_| {
            Error::new(
                ErrorKind::NotFound,
                format!("the environment has no `{variable}`: set it to the token"),
            )
        })?;
        Self::bearer(&token)
    }

    fn of(name: HeaderName, value: &str) -> Result<Self> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Error::new(
                ErrorKind::Options,
                "a secret has characters that no header can have, a line break perhaps",
            )
        })?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    pub(super) fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(super) fn value(&self) -> &HeaderValue {
        &self.value
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({}: [secret])", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_are_written_as_the_standard_says() {
        let auth = Auth::basic("Aladdin", "open sesame").unwrap();
        assert_eq!(auth.value(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{auth:?}"), "Auth(authorization: [secret])");
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_shown() {
        let error = Auth::bearer("hunter2\n").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
