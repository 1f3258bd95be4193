//! What a call brings along from where it is made: the runs that it waits for, and tags.

use std::pin::Pin;
use std::sync::Arc;

use crate::context::Tags;
use crate::definition::Definition;
use crate::engine::scope::Scope;
use crate::graph::NewEdge;
use crate::ids::TaskRunId;
use crate::job::Job;
use crate::order::Order;

/// The runs that a run waits for.
pub(crate) fn edges_of(
    definition: &'static Definition,
    job: Pin<&mut dyn Job>,
    orders: &[Order],
    scope: &Arc<Scope>,
) -> Vec<NewEdge> {
    let edge = |from: TaskRunId, parameter, of: &Arc<Scope>| NewEdge {
        from,
        parameter,
        foreign: (!Arc::ptr_eq(of, scope)).then(|| Arc::downgrade(of)),
    };
    let mut edges = Vec::new();
    job.upstreams(&mut |index, upstream| {
        let parameter = definition.parameters().get(index).copied();
        edges.push(edge(upstream.id, parameter, upstream.scope));
    });
    edges.extend(orders.iter().map(|order| edge(order.id(), None, order.scope())));
    edges
}

/// Notes that how the upstreams of a run end is known, since they were passed on to it: it will not wait for all of them.
pub(crate) fn look_at_upstreams(job: Pin<&mut dyn Job>, orders: &[Order]) {
    job.upstreams(&mut |_, upstream| upstream.observe());
    orders.iter().for_each(Order::observe);
}

/// A call's own tags and those in force around it.
pub(crate) fn with_ambient(mut tags: Vec<Arc<str>>, ambient: &Tags) -> Vec<Arc<str>> {
    if let Some(ambient) = ambient {
        tags.extend(ambient.iter().cloned());
    }
    tags
}
