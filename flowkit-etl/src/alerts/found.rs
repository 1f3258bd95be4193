//! What was found wrong, and what of it was told on which channel: the same is told once in a while, and counts as told where it was taken.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Alert;
use super::alert::Status;
use super::record::{AlertRecord, Fate};
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
    /// How often it had been found and not told before that.
    before: u64,
    /// How often it was found since then.
    since: u64,
    /// Whether it was told earlier, since it is wrong.
    earlier: bool,
    /// Whether it is wrong still.
    raised: bool,
}

impl Found {
    /// Whether the channel took anything of it.
    fn is_heard_of(&self) -> bool {
        self.earlier || !self.fate.is_lost()
    }

    fn is_told_lately(&self, window: Duration, now: Instant) -> bool {
        let ago = self.at.map(|at| now.saturating_duration_since(at));
        !self.fate.is_lost() && ago.is_some_and(|ago| ago < window)
    }

    /// How often it was found and not told.
    fn untold(&self) -> u64 {
        match self.fate.is_lost() {
            true => self.before + 1 + self.since,
            false => self.since,
        }
    }

    /// It is told anew, after what was found before, with how often that was not told.
    fn again(before: Option<&Self>, at: Option<Instant>, fate: Fate, repeated: u64) -> Self {
        Self {
            at,
            fate,
            before: repeated,
            since: 0,
            earlier: before.is_some_and(|before| before.raised && before.is_heard_of()),
            raised: true,
        }
    }
}

/// What is on its way to a channel.
pub(super) struct Told {
    pub(super) channel: usize,
    pub(super) alert: Alert,
    /// Told what becomes of it.
    pub(super) fate: Fate,
}

/// Everything that was found.
pub(super) struct Findings {
    /// For each rule, the channels that it goes to.
    routes: Vec<Vec<usize>>,
    found: HashMap<Key, Found>,
}

impl Findings {
    /// What earlier processes told, the first things first.
    pub(super) fn new(
        rules: &[Rule],
        channels: &[&str],
        routes: Vec<Vec<usize>>,
        before: Vec<(AlertRecord, Fate)>,
        (now, at): (Instant, SystemTime),
    ) -> Self {
        let mut this = Self {
            routes,
            found: HashMap::new(),
        };
        for (record, fate) in before {
            let Some(channel) = channels.iter().position(|name| *name == record.channel) else {
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
                        let (told, repeated) = (now.checked_sub(ago), record.alert.repeated);
                        let found = Found::again(this.found.get(&key), told, fate.clone(), repeated);
                        this.found.insert(key, found);
                    }
                }
            }
        }
        this
    }

    /// Something is wrong: it is told where it was not lately.
    pub(super) fn raise(&mut self, rule: usize, alert: &Alert, window: Duration, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        for key in self.keys(rule, alert) {
            let before = self.found.get_mut(&key);
            let repeated = match before {
                Some(found) if found.is_told_lately(window, now) => {
                    (found.raised, found.since) = (true, found.since + 1);
                    continue;
                }
                Some(found) => found.untold(),
                None => 0,
            };
            let fate = Fate::default();
            let found = Found::again(self.found.get(&key), Some(now), fate.clone(), repeated);
            told.push(Told {
                channel: key.channel,
                alert: Alert {
                    repeated,
                    ..alert.clone()
                },
                fate,
            });
            self.found.insert(key, found);
        }
        self.forget();
        told
    }

    /// It is well: that is told, if it is to be, where it was heard of that it was wrong.
    pub(super) fn resolve(&mut self, rule: usize, alert: &Alert, is_told: bool) -> Vec<Told> {
        let mut told = Vec::new();
        for key in self.keys(rule, alert) {
            let Some(found) = self.found.get_mut(&key).filter(|found| found.raised) else {
                continue;
            };
            if !is_told {
                found.raised = false;
                continue;
            }
            if found.is_heard_of() {
                told.push(Told {
                    channel: key.channel,
                    alert: Alert {
                        repeated: found.untold(),
                        ..alert.clone()
                    },
                    fate: Fate::default(),
                });
            }
            self.found.remove(&key);
        }
        told
    }

    fn keys(&self, rule: usize, alert: &Alert) -> Vec<Key> {
        let channels = self.routes.get(rule).into_iter().flatten();
        channels
            .map(|channel| Key {
                rule,
                channel: *channel,
                subject: alert.subject.clone(),
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
            &["chat"],
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
            let told = findings.raise(0, &alert, Duration::from_secs(3600), now);
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
