//! A body at work on the steps of a transaction.

use flowkit::prelude::*;
use flowkit::{Transaction, tagged};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Performer, millis, passed};
use crate::history::{GroupEnd, What};
use crate::plan::{Group, GroupFate};
use crate::world::World;

/// The transaction that a run with these tags was called in: the innermost has the highest number.
pub(super) fn group_of(tags: &[String]) -> Option<u64> {
    let numbers = tags.iter().filter_map(|tag| tag.strip_prefix('g')?.parse().ok());
    numbers.max()
}

impl Performer<'_> {
    pub(super) fn group<'a>(&'a mut self, group: &'a Group) -> BoxFuture<'a, Result<()>> {
        async move {
            let world = self.world;
            let number = world.value();
            world.note(What::GroupBegan {
                group: number,
                around: self.group.filter(|_| !group.eager),
            });
            // Dropped after what it watches.
            let mut watched = Watched {
                world,
                group: number,
                how: GroupEnd::Dropped,
            };
            let steps = self.steps(group, number);
            let transaction = match group.eager {
                true => Transaction::new().eager(),
                false => Transaction::new(),
            };
            let run = transaction.run(tagged([format!("g{number}")], steps));
            let outcome: Result<()> = match group.drop_after {
                None => run.await,
                Some(after) => match tokio::time::timeout(millis(after), run).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        drop(watched);
                        self.come_back().await;
                        return Ok(());
                    }
                },
            };
            watched.how = match outcome {
                Ok(()) => GroupEnd::Returned,
                Err(_) => GroupEnd::Failed,
            };
            drop(watched);
            match group.pass {
                true => outcome,
                false => passed(Ok(0), false),
            }
        }
        .boxed()
    }

    async fn steps(&self, group: &Group, number: u64) -> Result<()> {
        let mut inside = Performer {
            world: self.world,
            options: self.options,
            handles: Vec::new(),
            group: Some(number),
        };
        for step in &group.steps {
            inside.take(step).await?;
        }
        match group.fate {
            GroupFate::Value => {}
            GroupFate::Error => return Err("as planned".into()),
            GroupFate::Panic => std::panic::resume_unwind(Box::new("as planned")),
        }
        self.world.note(What::GroupDecides { group: number });
        Ok(())
    }
}

/// Notes how a transaction ends.
struct Watched<'a> {
    world: &'a World,
    group: u64,
    how: GroupEnd,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.world.note(What::GroupEnded {
            group: self.group,
            how: self.how,
        });
    }
}
