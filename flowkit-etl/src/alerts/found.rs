//! What was found wrong, and what of it was told on which channel: the same is told once in a while, and counts as told where it was taken.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Alert;
use super::alert::Status;
use super::fate::{Before, Fate};
use super::record::AlertRecord;
use super::rule::Rule;

/// So many findings are remembered. Subjects may have no end, such as reports that are named after their day.
const MOST: usize = 10_000;

/// What is found, by which rule: told on a channel or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    rule: usize,
    channel: usize,
    subject: String,
}

/// Something wrong, as it was told last.
struct Found {
    /// When that was, if it is no longer ago than a clock knows.
    at: Option<Instant>,
    /// What became of it.
    fate: Fate,
    /// What had been told before that.
    before: Before,
    /// How often it was found since then.
    since: u64,
}

impl Found {
    /// Whether it is too early to tell it again: after it was told within the window, after it was lost within what a channel is given at least, if that is less.
    fn rests(&self, window: Duration, after_loss: Duration, now: Instant) -> bool {
        let rest = match self.fate.is_lost() {
            true => window.min(after_loss),
            false => window,
        };
        let ago = self.at.map(|at| now.saturating_duration_since(at));
        ago.is_some_and(|ago| ago < rest)
    }

    /// All that was told of it.
    fn told(&self) -> Before {
        self.before.clone().then(self.fate.clone(), self.since)
    }
}

/// How something was found that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As another case.
    Anew,
    /// As what goes on, and is looked at now and then. How often says nothing.
    Still,
    /// As a case that was raised already: it is told where that was lost.
    Again,
}

/// What is on its way to a channel.
pub(super) struct Told {
    pub(super) channel: usize,
    pub(super) alert: Alert,
    /// Told what becomes of it.
    pub(super) fate: Fate,
    /// What was told of the same before it.
    pub(super) before: Before,
}

/// A channel, as far as it matters here.
pub(super) struct Listener<'a> {
    pub(super) name: &'a str,
    /// How long what it did not take is not told there again, at most.
    pub(super) after_loss: Duration,
}

/// Everything that was found.
pub(super) struct Findings {
    /// For each rule, the channels that it goes to.
    routes: Vec<Vec<usize>>,
    /// For each channel, how long what it did not take is not told there again, at most.
    after_loss: Vec<Duration>,
    found: HashMap<Key, Found>,
}

impl Findings {
    /// What earlier processes told, the first things first.
    pub(super) fn new(
        rules: &[Rule],
        channels: &[Listener<'_>],
        routes: Vec<Vec<usize>>,
        before: Vec<(AlertRecord, Fate)>,
        (now, at): (Instant, SystemTime),
    ) -> Self {
        let mut this = Self {
            routes,
            after_loss: channels.iter().map(|channel| channel.after_loss).collect(),
            found: HashMap::new(),
        };
        for (record, fate) in before {
            let Some(channel) = channels.iter().position(|channel| channel.name == record.channel) else {
                continue;
            };
            let rules = rules.iter().enumerate();
            let named = rules.filter(|(_, rule)| rule.name == record.alert.rule);
            for (rule, _) in named {
                let subject = record.alert.subject.clone();
                let key = Key {
                    rule,
                    channel,
                    subject,
                };
                match record.alert.status {
                    Status::Resolved => drop(this.found.remove(&key)),
                    Status::Raised => {
                        let ago = at.duration_since(record.alert.at).unwrap_or_default();
                        let before = this.found.get(&key).map(Found::told).unwrap_or_default();
                        let found = Found {
                            at: now.checked_sub(ago),
                            fate: fate.clone(),
                            before: before.at_least(record.alert.repeated),
                            since: 0,
                        };
                        this.found.insert(key, found);
                    }
                }
            }
        }
        this
    }

    /// Something is wrong: it is told where it was not lately.
    pub(super) fn raise(
        &mut self,
        rule: usize,
        alert: &Alert,
        how: How,
        window: Duration,
        now: Instant,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        for key in self.keys(rule, &alert.subject) {
            let after_loss = self.after_loss(key.channel);
            let before = match (self.found.get_mut(&key), how) {
                (Some(found), _) if found.rests(window, after_loss, now) => {
                    found.since += u64::from(how == How::Anew);
                    continue;
                }
                (None, How::Again) => continue,
                (Some(found), How::Again) if !found.fate.is_lost() => continue,
                (Some(found), How::Again | How::Still) if found.fate.is_lost() => found.told().but_one(),
                (Some(found), _) => found.told(),
                (None, _) => Before::default(),
            };
            told.push(self.tell(key, alert, before, now));
        }
        self.forget();
        told
    }

    /// When what goes on may be told again: where it was told, and where it may have been lost.
    pub(super) fn again_at(
        &self,
        rule: usize,
        subject: &str,
        window: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let each = self.keys(rule, subject).into_iter().flat_map(|key| {
            let found = self.found.get(&key).and_then(|found| found.at);
            let told = found.and_then(|at| at.checked_add(window));
            let lost = now.checked_add(self.after_loss(key.channel));
            [told.filter(|at| *at > now), lost]
        });
        each.flatten().min()
    }

    fn tell(&mut self, key: Key, alert: &Alert, mut before: Before, now: Instant) -> Told {
        let told = Told {
            channel: key.channel,
            alert: Alert {
                repeated: before.untold(),
                ..alert.clone()
            },
            fate: Fate::default(),
            before: before.clone(),
        };
        let found = Found {
            at: Some(now),
            fate: told.fate.clone(),
            before,
            since: 0,
        };
        self.found.insert(key, found);
        told
    }

    /// It is well: that is told, if it is to be, where it was heard of that it was wrong, or may be yet.
    pub(super) fn resolve(&mut self, rule: usize, alert: &Alert, is_told: bool) -> Vec<Told> {
        let mut told = Vec::new();
        let keys = if is_told {
            self.keys(rule, &alert.subject)
        } else {
            Vec::new()
        };
        for key in keys {
            let Some(found) = self.found.remove(&key) else {
                continue;
            };
            let mut before = found.told();
            if before.is_heard_of() {
                told.push(Told {
                    channel: key.channel,
                    alert: Alert {
                        repeated: before.untold(),
                        ..alert.clone()
                    },
                    fate: Fate::default(),
                    before,
                });
            }
        }
        told
    }

    fn after_loss(&self, channel: usize) -> Duration {
        self.after_loss.get(channel).copied().unwrap_or_default()
    }

    fn keys(&self, rule: usize, subject: &str) -> Vec<Key> {
        let channels = self.routes.get(rule).into_iter().flatten();
        channels
            .map(|channel| Key {
                rule,
                channel: *channel,
                subject: subject.to_owned(),
            })
            .collect()
    }

    /// Forgets half of it when it is too much, what was told longest ago.
    fn forget(&mut self) {
        if self.found.len() <= MOST {
            return;
        }
        let mut at: Vec<Option<Instant>> = self.found.values().map(|found| found.at).collect();
        at.sort_unstable();
        let median = at.get(at.len() / 2).copied().flatten();
        self.found.retain(|_, found| found.at > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_of_subjects_without_end_is_forgotten_the_first_of_it() {
        let now = Instant::now();
        let mut findings = Findings::new(
            &[],
            &[Listener {
                name: "chat",
                after_loss: Duration::ZERO,
            }],
            vec![vec![0]],
            Vec::new(),
            (now, SystemTime::UNIX_EPOCH),
        );
        let mut raise = |day: u64, after: u64| {
            let alert = Alert {
                status: Status::Raised,
                rule: "quality failed".to_owned(),
                subject: format!("nightly / day {day}"),
                flow: "nightly".to_owned(),
                flow_run: None,
                flow_run_name: None,
                at: SystemTime::UNIX_EPOCH,
                summary: String::new(),
                details: String::new(),
                repeated: 0,
                held_back: 0,
            };
            let now = now + Duration::from_millis(after);
            let told = findings.raise(0, &alert, How::Anew, Duration::from_secs(3600), now);
            (told.len(), findings.found.len())
        };
        let days = 3 * MOST as u64;
        for day in 0..days {
            let (told, found) = raise(day, day);
            assert!(told == 1 && found <= MOST, "{told} of {found}");
        }
        assert_eq!(raise(days - 1, days).0, 0, "what was told last is known");
        assert_eq!(raise(0, days).0, 1);
    }
}
