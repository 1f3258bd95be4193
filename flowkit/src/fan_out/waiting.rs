//! Waiting for the items of a fan-out, whatever they give.

use std::future::poll_fn;

use super::shared::{Prefix, SharedFanOut, WHOLE};
use crate::completion::WaiterKey;
use crate::error::Error;
use crate::order::AnyRun;

/// A place among those who wait, given up on drop.
struct Waiting<'a> {
    fan_out: &'a SharedFanOut,
    index: u32,
    key: WaiterKey,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.fan_out.leave(self.index, &mut self.key);
    }
}

impl SharedFanOut {
    /// Returns when an item has ended, or the whole.
    async fn ended(&self, index: u32) {
        let mut waiting = Waiting {
            fan_out: self,
            index,
            key: WaiterKey::default(),
        };
        poll_fn(|cx| self.poll_done(index, cx, &mut waiting.key)).await;
    }

    /// Returns when every item has ended.
    pub(super) async fn closed(&self) {
        self.ended(WHOLE).await;
    }

    /// Returns when every item has ended with a value.
    ///
    /// # Errors
    /// The first error in input order, which is known once all items before it have ended. With that, all failures are looked at.
    pub(super) async fn completed(&self) -> Result<(), Error> {
        let mut from = 0;
        loop {
            match self.prefix(from) {
                Prefix::Complete => break,
                Prefix::Failed(error) => {
                    self.look_at_all();
                    return Err(error);
                }
                Prefix::OpenAt(index) => {
                    from = index;
                    self.ended(index).await;
                }
            }
        }
        self.closed().await;
        Ok(())
    }

    /// Takes note that all failures, now or later, are looked at.
    pub(super) fn look_at_all(&self) {
        self.scope.observe(self.node);
    }
}
