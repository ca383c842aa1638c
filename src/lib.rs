//! `arcgrad` records tensor operations as they run, in a graph of reference-counted nodes, and differentiates it.

pub mod array;
pub mod error;
