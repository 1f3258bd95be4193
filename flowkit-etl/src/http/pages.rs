//! How an API that answers page by page names the next one.

use reqwest::Url;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::http::Answer;

/// How an API names the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    One,
    Numbered { parameter: String, first: u64 },
    Offset { parameter: String },
    Cursor { pointer: String, parameter: String },
    NextUrl { pointer: String },
    LinkHeader,
}

impl Pages {
    /// There is one page.
    pub fn one() -> Self {
        Self::of(How::One)
    }

    /// By its number, in this parameter, from `first` on, until a page is empty: `?page=1`, `?page=2`.
    pub fn numbered(parameter: impl Into<String>, first: u64) -> Self {
        Self::of(How::Numbered {
            parameter: parameter.into(),
            first,
        })
    }

    /// By how many records come before it, in this parameter, until a page is empty: `?offset=0`, `?offset=100`.
    pub fn offset(parameter: impl Into<String>) -> Self {
        Self::of(How::Offset {
            parameter: parameter.into(),
        })
    }

    /// By a text or number that the page has at this JSON pointer, in this parameter, until it has none: `/meta/next`, `?cursor=…`.
    pub fn cursor(pointer: impl Into<String>, parameter: impl Into<String>) -> Self {
        Self::of(How::Cursor {
            pointer: pointer.into(),
            parameter: parameter.into(),
        })
    }

    /// By its address, which the page has at this JSON pointer, until it has none.
    pub fn next_url(pointer: impl Into<String>) -> Self {
        Self::of(How::NextUrl {
            pointer: pointer.into(),
        })
    }

    /// By the header `Link`, with `rel="next"`, until there is none.
    pub fn link_header() -> Self {
        Self::of(How::LinkHeader)
    }

    fn of(how: How) -> Self {
        Self { how }
    }

    /// The address of the first page.
    pub(crate) fn first(&self, url: &Url) -> Url {
        let mut url = url.clone();
        match &self.how {
            How::Numbered { parameter, first } => set(&mut url, parameter, &first.to_string()),
            How::Offset { parameter } => set(&mut url, parameter, "0"),
            _ => {}
        }
        url
    }

    /// The address of the page after this one, if there is one.
    pub(crate) fn next(&self, at: &Url, page: &Page<'_>) -> Result<Option<Url>> {
        let mut url = at.clone();
        match &self.how {
            How::One => return Ok(None),
            How::Numbered { .. } | How::Offset { .. } if page.records == 0 => return Ok(None),
            How::Numbered { parameter, first } => {
                set(&mut url, parameter, &(first + page.number + 1).to_string());
            }
            How::Offset { parameter } => set(&mut url, parameter, &page.before_next.to_string()),
            How::Cursor { pointer, parameter } => match page.body.pointer(pointer) {
                Some(Value::String(cursor)) if !cursor.is_empty() => set(&mut url, parameter, cursor),
                Some(Value::Number(cursor)) => set(&mut url, parameter, &cursor.to_string()),
                _ => return Ok(None),
            },
            How::NextUrl { pointer } => match page.body.pointer(pointer).and_then(Value::as_str) {
                Some(next) if !next.is_empty() => url = joined(at, next)?,
                _ => return Ok(None),
            },
            How::LinkHeader => match page.answer.next_link() {
                Some(next) => url = joined(at, &next)?,
                None => return Ok(None),
            },
        }
        if url == *at {
            let message = "the API names the page itself as the next one, which would go on for ever";
            return Err(Error::new(ErrorKind::Format, message));
        }
        Ok(Some(url))
    }
}

/// A page that was read.
pub(crate) struct Page<'a> {
    pub(crate) body: &'a Value,
    pub(crate) answer: &'a Answer,
    /// How many pages came before it.
    pub(crate) number: u64,
    pub(crate) records: usize,
    /// How many records come before the next one.
    pub(crate) before_next: u64,
}

/// Gives a parameter this value, whether it has one or not.
fn set(url: &mut Url, name: &str, value: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(other, _)| other != name)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair(name, value);
}

/// An address on the same host: what lets one in there is not for another.
fn joined(at: &Url, next: &str) -> Result<Url> {
    let url = at.join(next).map_err(|error| {
        Error::new(ErrorKind::Format, "the API names a next page that has no address").because(error)
    })?;
    if url.origin() != at.origin() {
        let message = format!(
            "the API names a next page on another host, {}, where one is not let in by the same secret",
            url.host_str().unwrap_or_default()
        );
        return Err(Error::new(ErrorKind::Access, message));
    }
    Ok(url)
}
