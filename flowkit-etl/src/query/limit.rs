//! Queries that leave out a part of what is new.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;

use super::failure::failed;
use crate::error::{Error, ErrorKind, Result};

/// Refuses a plan that limits the rows of a table which is an incremental extraction. How much of it would be read is for the planner to choose, and where its cursor would be then has
/// nothing to do with the rows that come out.
pub(super) fn refuse(table: &str, plan: &LogicalPlan) -> Result<()> {
    let is_it =
        |node: &LogicalPlan| matches!(node, LogicalPlan::TableScan(scan) if scan.table_name.table() == table);
    let is_limited = any(plan, |node| match node {
        LogicalPlan::Limit(_) => any(node, |below| Ok(is_it(below))),
        _ => Ok(false),
    });
    if !is_limited.map_err(failed)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Options,
        format!(
            "the query has a LIMIT or OFFSET over `{table}`, which is an incremental extraction: what that leaves out would be taken for loaded, and never be read again. Leave it out"
        ),
    ))
}

/// Whether a part of a plan is such, also one in a subquery.
fn any(
    plan: &LogicalPlan,
    mut is_such: impl FnMut(&LogicalPlan) -> Result<bool, DataFusionError>,
) -> Result<bool, DataFusionError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = is_such(node)?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}
