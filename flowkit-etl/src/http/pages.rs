//! How an API that answers page by page names the next one.

use std::hash::{DefaultHasher, Hash, Hasher};

use reqwest::Url;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, Raw};

/// No API has a page that is so far behind another.
const FAR: u64 = 1_000_000_000;

/// How an API names the next page.
///
/// Where it would go on for ever, that is an error: when a page is named as the next one that was read already, and when only an empty page is the end, two one after the other have the same records, and so has one far behind
/// them, which is asked for then and cannot be there.
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

    /// The pages from this address on.
    pub(crate) fn begin(&self, url: &Url) -> Course {
        let mut first = url.clone();
        match &self.how {
            How::Numbered {
                parameter,
                first: number,
            } => set(&mut first, parameter, &number.to_string()),
            How::Offset { parameter } => set(&mut first, parameter, "0"),
            _ => {}
        }
        Course {
            how: self.how.clone(),
            at: first,
            ended: false,
            pages: 0,
            records: 0,
            mark: None,
            last: None,
            equal: 0,
            doubt: None,
        }
    }
}

/// Pages while they are read.
pub(crate) struct Course {
    how: How,
    /// The page that is to be read.
    at: Url,
    ended: bool,
    /// How many pages were read, and how many records were in them.
    pages: u64,
    records: u64,
    /// A page that was read, the first, second, fourth or eighth and so on: whoever goes round comes to one of them again.
    mark: Option<Url>,
    /// What stands for the records of the page before.
    last: Option<u64>,
    /// How many pages had the records of the one before.
    equal: u64,
    /// A page that cannot be there, if it is not known whether pages come to an end.
    doubt: Option<Url>,
}

impl Course {
    /// The page that is to be read; none after the last.
    pub(crate) fn at(&self) -> Option<&Url> {
        (!self.ended).then_some(&self.at)
    }

    /// Goes on to the page after the one that was read.
    ///
    /// # Errors
    /// When the pages would not come to an end.
    pub(crate) fn turn(&mut self, page: &Page<'_>) -> Result<()> {
        self.pages += 1;
        self.records += page.records as u64;
        if self.pages.is_power_of_two() {
            self.mark = Some(self.at.clone());
        }
        let Some(next) = self.next(page)? else {
            self.ended = true;
            return Ok(());
        };
        if next == self.at || self.mark.as_ref() == Some(&next) {
            let message =
                "the API names a page as the next one that was read already, which would go on for ever";
            return Err(Error::new(ErrorKind::Format, message));
        }
        self.at = next;
        Ok(())
    }

    fn next(&mut self, page: &Page<'_>) -> Result<Option<Url>> {
        let mut url = self.at.clone();
        match &self.how {
            How::One => return Ok(None),
            How::Numbered { .. } | How::Offset { .. } if page.records == 0 => return Ok(None),
            How::Numbered { parameter, first } => {
                let (parameter, number) = (parameter.clone(), first.saturating_add(self.pages));
                self.compare(&parameter, number, page);
                set(&mut url, &parameter, &number.to_string());
            }
            How::Offset { parameter } => {
                let parameter = parameter.clone();
                self.compare(&parameter, self.records, page);
                set(&mut url, &parameter, &self.records.to_string());
            }
            How::Cursor { pointer, parameter } => {
                let cursor = page.body.at(pointer);
                match (cursor.and_then(Raw::value), cursor) {
                    (Some(Value::String(cursor)), _) if !cursor.is_empty() => {
                        set(&mut url, parameter, &cursor);
                    }
                    // As it stands, since it may be larger than numbers are here.
                    (Some(Value::Number(_)), Some(cursor)) => set(&mut url, parameter, cursor.text()),
                    _ => return Ok(None),
                }
            }
            How::NextUrl { pointer } => match page.body.at(pointer).and_then(Raw::value) {
                Some(Value::String(next)) if !next.is_empty() => url = joined(&url, &next)?,
                _ => return Ok(None),
            },
            How::LinkHeader => match page.answer.next_link() {
                Some(next) => url = joined(&url, &next)?,
                None => return Ok(None),
            },
        }
        Ok(Some(url))
    }

    /// Where only an empty page is the end, one that has what the one before had may show that there will be none, or that the records are like that.
    fn compare(&mut self, parameter: &str, next: u64, page: &Page<'_>) {
        let digest = digest_of(page.list);
        if self.last.replace(digest) != Some(digest) {
            return;
        }
        self.equal += 1;
        // Not each time: an API that is honest has many.
        if self.equal.is_power_of_two() {
            let mut url = self.at.clone();
            set(&mut url, parameter, &next.saturating_add(FAR).to_string());
            self.doubt = Some(url);
        }
    }

    /// A page that cannot be there, if what it has would show whether pages come to an end.
    pub(crate) fn doubt(&mut self) -> Option<Url> {
        self.doubt.take()
    }

    /// What such a page has.
    ///
    /// # Errors
    /// When it has what the one has that was read last.
    pub(crate) fn judge(&self, list: &str) -> Result<()> {
        let (How::Numbered { parameter, .. } | How::Offset { parameter }) = &self.how else {
            return Ok(());
        };
        if self.last != Some(digest_of(list)) {
            return Ok(());
        }
        let message = format!(
            "all pages have the same records, also one that cannot be there: the API does not know the parameter `{parameter}`, or gives its last page for ever"
        );
        Err(Error::new(ErrorKind::Format, message))
    }
}

fn digest_of(list: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    list.hash(&mut hasher);
    hasher.finish()
}

/// A page that was read.
pub(crate) struct Page<'a> {
    pub(crate) body: Raw<'a>,
    pub(crate) answer: &'a Answer,
    /// The text of its records, and how many they are.
    pub(crate) list: &'a str,
    pub(crate) records: usize,
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

/// An address of the same host, port and scheme: what lets one in there is not for another.
fn joined(at: &Url, next: &str) -> Result<Url> {
    let url = at.join(next).map_err(|error| {
        Error::new(ErrorKind::Format, "the API names a next page that has no address").because(error)
    })?;
    if url.origin() != at.origin() {
        let message = format!(
            "the API names a next page at {}, where this one is at {}: what lets one in here is not sent there, so begin there, if that is right",
            url.origin().ascii_serialization(),
            at.origin().ascii_serialization()
        );
        return Err(Error::new(ErrorKind::Access, message));
    }
    Ok(url)
}
