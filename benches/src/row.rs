//! One thing that is measured, and what it stands beside.

/// What is measured, round by round, with what it is held against.
#[derive(Debug)]
pub struct Row {
    /// What is done.
    pub what: &'static str,
    /// What the figures count: `µs`, `ms`, `bytes`.
    pub unit: &'static str,
    /// What flowkit took in each round. The first one warms up and does not count.
    pub ours: Vec<f64>,
    /// What it is held against.
    pub against: Vec<Contender>,
    goal: Option<Goal>,
}

/// A floor or a peer.
#[derive(Debug)]
pub struct Contender {
    /// What it is.
    pub name: &'static str,
    /// What it promises of what it keeps, if it keeps anything; none of a floor.
    pub promise: Option<&'static str>,
    /// What it took in each round.
    pub rounds: Vec<f64>,
}

/// What a row is to reach.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At most so many times its first floor.
    Ratio(f64),
    /// At most so much more than its first floor.
    More(f64),
    /// At most so much, whatever the floor.
    Most(f64),
}

/// The middle, the lowest and the highest of some figures.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The lowest one.
    pub low: f64,
    /// The highest one.
    pub high: f64,
}

impl Row {
    /// A row without figures.
    pub fn new(what: &'static str, unit: &'static str) -> Self {
        Self {
            what,
            unit,
            ours: Vec::new(),
            against: Vec::new(),
            goal: None,
        }
    }

    /// The row is to reach this.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// What flowkit took in this round.
    pub fn ours(&mut self, figure: f64) {
        self.ours.push(figure);
    }

    /// What the floor took in this round.
    pub fn floor(&mut self, name: &'static str, figure: f64) {
        self.beside(name, None, figure);
    }

    /// What a peer took in this round, and what it promises of what it keeps.
    pub fn peer(&mut self, name: &'static str, promise: &'static str, figure: f64) {
        self.beside(name, Some(promise), figure);
    }

    fn beside(&mut self, name: &'static str, promise: Option<&'static str>, figure: f64) {
        match self.against.iter_mut().find(|contender| contender.name == name) {
            Some(contender) => contender.rounds.push(figure),
            None => self.against.push(Contender {
                name,
                promise,
                rounds: vec![figure],
            }),
        }
    }

    /// What flowkit took, over the rounds that count.
    pub fn spread(&self) -> Spread {
        Spread::of(counted(&self.ours).iter().copied())
    }

    /// How many times what the contender took it is, round by round.
    pub fn ratio(&self, contender: &Contender) -> Spread {
        let pairs = counted(&self.ours).iter().zip(counted(&contender.rounds));
        Spread::of(pairs.map(|(ours, other)| ours / other))
    }

    /// The goal, and whether it is met.
    pub fn verdict(&self) -> Option<(String, bool)> {
        let ours = self.spread().median;
        let floor = self.against.first();
        Some(match self.goal? {
            Goal::Ratio(most) => (
                format!("≤ {most} ×"),
                floor.is_some_and(|floor| self.ratio(floor).median <= most),
            ),
            Goal::More(most) => (
                format!("≤ floor + {most} {}", self.unit),
                floor.is_some_and(|floor| ours - floor.spread().median <= most),
            ),
            Goal::Most(most) => (format!("≤ {most} {}", self.unit), ours <= most),
        })
    }
}

impl Contender {
    /// What it took, over the rounds that count.
    pub fn spread(&self) -> Spread {
        Spread::of(counted(&self.rounds).iter().copied())
    }
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        Self {
            median: at(figures.len() / 2),
            low: at(0),
            high: at(figures.len().saturating_sub(1)),
        }
    }
}

/// The rounds after the first, if there are any.
fn counted(rounds: &[f64]) -> &[f64] {
    match rounds {
        [_, counted @ ..] if !counted.is_empty() => counted,
        all => all,
    }
}
