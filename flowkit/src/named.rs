//! What a runtime was given under names, for tasks that ask for it by name: limits, rate limits, circuit breakers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Things of one sort by their names.
pub(crate) struct Named<T> {
    /// What one of them is called in an error.
    sort: &'static str,
    /// The builder's method that adds one.
    method: &'static str,
    things: BTreeMap<Arc<str>, T>,
}

impl<T> Named<T> {
    pub(crate) fn new(sort: &'static str, method: &'static str) -> Self {
        Self {
            sort,
            method,
            things: BTreeMap::new(),
        }
    }

    /// Adds one; an error of kind [`Build`](ErrorKind::Build) if the name is taken, since one of the two would be silently ignored.
    pub(crate) fn insert(&mut self, name: Arc<str>, thing: T) -> Result<(), Error> {
        if self.things.contains_key(&name) {
            let detail = format!(
                "there are two {}s named `{name}`: keep one, or rename one",
                self.sort
            );
            return Err(Error::about_runtime(ErrorKind::Build, detail));
        }
        self.things.insert(name, thing);
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.things.get(name)
    }

    /// Like [`get`](Self::get), with an error that says which names there are.
    pub(crate) fn find(&self, name: &str) -> Result<&T, Error> {
        self.get(name).ok_or_else(|| {
            let detail = format!("there is no {} named `{name}`; {}", self.sort, self.known());
            Error::about_runtime(ErrorKind::MissingLimit, detail)
        })
    }

    /// A sentence about the names there are.
    pub(crate) fn known(&self) -> String {
        if self.things.is_empty() {
            return format!(
                "the runtime has none: add it with `Runtime::builder().{}(…)`",
                self.method
            );
        }
        let names: Vec<_> = self.things.keys().map(|name| format!("`{name}`")).collect();
        format!("the runtime has {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_names_there_are() {
        let mut limits = Named::new("limit", "limit");
        let error = limits.find("db").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingLimit);
        assert_eq!(
            error.to_string(),
            "there is no limit named `db`; the runtime has none: add it with `Runtime::builder().limit(…)`"
        );
        limits.insert("warehouse".into(), 4).unwrap();
        limits.insert("api".into(), 2).unwrap();
        let error = limits.find("db").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no limit named `db`; the runtime has `api`, `warehouse`"
        );
        assert_eq!(limits.find("api").copied().unwrap(), 2);
    }

    #[test]
    fn a_name_is_given_once() {
        let mut limits = Named::new("rate limit", "rate_limit");
        limits.insert("api".into(), 1).unwrap();
        let error = limits.insert("api".into(), 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert_eq!(
            error.to_string(),
            "there are two rate limits named `api`: keep one, or rename one"
        );
        assert_eq!(limits.get("api"), Some(&1), "the first one stands");
    }
}
