//! Slack, and what takes the same: Mattermost, Rocket.Chat, Discord (below `/slack`).

use flowkit::Secret;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::post::Post;
use super::{Alert, Channel, Failure};
use crate::error::Result;

/// So much of an alert's details is shown; Slack cuts messages at 40,000 characters, and others sooner.
const LONGEST: usize = 3000;

/// An incoming webhook of Slack, or of a chat that is compatible with it.
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

fn text(alert: &Alert) -> String {
    format!(
        "*{}*\n{}",
        escaped(&cut(&alert.title())),
        escaped(&cut(&alert.text()))
    )
}

/// Without characters that mean something to Slack: mentions and links begin with `<`.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_alert_can_mention_anybody() {
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
        assert_eq!(cut(&"ä".repeat(3001)).chars().count(), 3001);
    }
}
