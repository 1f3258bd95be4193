//! The identities of runs, and the seam through which new ones come.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The identity of a flow run: a version 7 UUID, so that ids sort by the time their runs began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowRunId(Uuid);

impl FlowRunId {
    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }

    /// The id's 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for FlowRunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// Text that is not the id of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseRunIdError;

impl fmt::Display for ParseRunIdError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not the id of a run: those of flow runs are UUIDs, those of task runs such a UUID followed by `/7` or `/7[12]`")
    }
}

impl std::error::Error for ParseRunIdError {}

/// An id as it is printed.
///
/// ```
/// let text = "0197a5f0-0000-7000-8000-000000000001";
/// let run: flowkit::FlowRunId = text.parse()?;
/// assert_eq!(run.to_string(), text);
/// # Ok::<(), flowkit::ParseRunIdError>(())
/// ```
impl FromStr for FlowRunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, ParseRunIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| ParseRunIdError)
    }
}

impl Serialize for FlowRunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A place in a run's graph: a node, and for a run of a fan-out its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeRef {
    pub(crate) node: u32,
    item: u32,
}

/// What `item` holds where a node is not a fan-out's item. No fan-out has so many items.
const NO_ITEM: u32 = u32::MAX;

impl NodeRef {
    /// Stands for the flow run itself.
    pub(crate) const ROOT: Self = Self::node(u32::MAX);

    pub(crate) const fn node(node: u32) -> Self {
        Self { node, item: NO_ITEM }
    }

    pub(crate) const fn item(node: u32, item: u32) -> Self {
        Self { node, item }
    }

    pub(crate) const fn index(self) -> Option<u32> {
        if self.item == NO_ITEM {
            None
        } else {
            Some(self.item)
        }
    }
}

/// The identity of a task run: its flow run and its place there, printed as `FLOW_RUN/7` or, in a fan-out,
/// `FLOW_RUN/7[12]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskRunId {
    flow_run: FlowRunId,
    place: NodeRef,
}

impl TaskRunId {
    pub(crate) const fn new(flow_run: FlowRunId, place: NodeRef) -> Self {
        Self { flow_run, place }
    }

    pub(crate) const fn place(self) -> NodeRef {
        self.place
    }

    /// The flow run that the task run belongs to.
    pub const fn flow_run(self) -> FlowRunId {
        self.flow_run
    }

    /// The number of the node in the flow run's graph, in the order of submission.
    pub const fn node(self) -> u32 {
        self.place.node
    }

    /// The index within a fan-out, if the run is part of one.
    pub const fn item(self) -> Option<u32> {
        self.place.index()
    }
}

impl fmt::Debug for TaskRunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TaskRunId({self})")
    }
}

impl fmt::Display for TaskRunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.flow_run)?;
        if self.place == NodeRef::ROOT {
            return Ok(());
        }
        write!(formatter, "/{}", self.place.node)?;
        match self.place.index() {
            Some(item) => write!(formatter, "[{item}]"),
            None => Ok(()),
        }
    }
}

/// An id as it is printed.
///
/// ```
/// let text = "0197a5f0-0000-7000-8000-000000000001/7[12]";
/// let run: flowkit::TaskRunId = text.parse()?;
/// assert_eq!((run.node(), run.item()), (7, Some(12)));
/// # Ok::<(), flowkit::ParseRunIdError>(())
/// ```
impl FromStr for TaskRunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, ParseRunIdError> {
        let Some((flow_run, place)) = text.split_once('/') else {
            return Ok(Self::new(text.parse()?, NodeRef::ROOT));
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| ParseRunIdError);
        let place = match place.strip_suffix(']').and_then(|place| place.split_once('[')) {
            Some((node, item)) => NodeRef::item(number(node)?, number(item)?),
            None => NodeRef::node(number(place)?),
        };
        Ok(Self::new(flow_run.parse()?, place))
    }
}

impl Serialize for TaskRunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where new ids come from.
pub trait Ids: fmt::Debug + Send + Sync + 'static {
    /// An id that no other run has, for a run that begins at `now`.
    fn flow_run(&self, now: SystemTime) -> FlowRunId;
}

/// Ids from the system's randomness: what a runtime uses unless told otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn flow_run(&self, _now: SystemTime) -> FlowRunId {
        FlowRunId(Uuid::now_v7())
    }
}

/// Ids from a seed: the same seed and times give the same ids, which tests can compare.
#[derive(Debug)]
pub struct SeededIds(Mutex<fastrand::Rng>);

impl SeededIds {
    /// Ids that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Ids for SeededIds {
    fn flow_run(&self, now: SystemTime) -> FlowRunId {
        let mut random = [0; 10];
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(&mut random);
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        FlowRunId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_run_prints_its_flow_run_its_node_and_its_index() {
        let run = FlowRunId::from_u128(1);
        let prefix = "00000000-0000-0000-0000-000000000001";
        assert_eq!(
            TaskRunId::new(run, NodeRef::node(7)).to_string(),
            format!("{prefix}/7")
        );
        assert_eq!(
            TaskRunId::new(run, NodeRef::item(7, 12)).to_string(),
            format!("{prefix}/7[12]")
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (one, two) = (SeededIds::new(9), SeededIds::new(9));
        let first = one.flow_run(SystemTime::UNIX_EPOCH);
        assert_eq!(first, two.flow_run(SystemTime::UNIX_EPOCH));
        assert_ne!(first, one.flow_run(SystemTime::UNIX_EPOCH));
    }
}
