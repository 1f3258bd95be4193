//! Slack, and what takes the same: Mattermost, Rocket.Chat, Discord (below `/slack`).

use flowkit::Secret;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::post::Post;
use super::{Alert, Channel, Failure};
use crate::error::Result;
use crate::text::{cut_by, escaped, standing_for};

/// A message is no longer than this. Discord refuses longer ones for good; Slack and others take more.
const LONGEST: usize = 2000;

/// So much of it may be the title, which repeats how the details begin.
const LONGEST_TITLE: usize = 1000;

/// An incoming webhook of Slack, or of a chat that is compatible with it. What does not fit into 2,000 characters, which all of them take, is cut.
#[derive(Debug, Clone)]
pub struct Slack {
    post: Post,
}

impl Slack {
    /// The webhook at this address.
    ///
    /// # Errors
    /// When it is no address of HTTP.
    pub fn new(url: impl Into<Secret<String>>) -> Result<Self> {
        let post = Post::new(&url.into())?;
        Ok(Self { post })
    }

    /// The webhook at the address that a variable of the environment has.
    ///
    /// # Errors
    /// When the variable is not set, or has no address of HTTP.
    pub fn from_env(variable: &str) -> Result<Self> {
        let post = Post::from_env(variable)?;
        Ok(Self { post })
    }
}

impl Channel for Slack {
    fn send<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, Result<(), Failure>> {
        async move { self.post.send(&json!({ "text": text(alert) })).await }.boxed()
    }
}

/// The title, and as much of the rest as there is room for.
fn text(alert: &Alert) -> String {
    let title = shown(&alert.title(), LONGEST_TITLE);
    let room = LONGEST.saturating_sub(length(&title) + length("**\n…"));
    format!("*{title}*\n{}", shown(&alert.text(), room))
}

/// Without characters that mean something to a chat, and cut where these take more room than there is.
fn shown(text: &str, room: usize) -> String {
    let takes = |character: char| standing_for(character).map_or(character.len_utf16(), length);
    escaped(&cut_by(text, room, takes))
}

/// As the strictest of them counts, an emoji as two.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}
