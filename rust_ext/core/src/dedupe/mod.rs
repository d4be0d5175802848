//! Deduplication in three steps that do not depend on who takes them: keys per shard, verdicts per partition, spans per
//! shard.
//!
//! The keys of a partition are tested in the order of the key files, and in each in the order of its items; a verdict
//! says whether the key was there before.

mod columns;
mod reduce;
pub mod sealed;
mod verdicts;

pub use columns::VerdictColumns;
pub use reduce::{reduce_keys, Bloom, FilterReport, Reduced};

#[cfg(test)]
mod tests;
