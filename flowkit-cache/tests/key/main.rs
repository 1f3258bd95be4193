//! Keys through the public API: equality, order, golden vectors, refusals, other processes.

#[cfg(test)]
mod equality;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod model;
#[cfg(test)]
mod order;
#[cfg(test)]
mod process;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod written;
