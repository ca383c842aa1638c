//! What Python sees of each op: one declaration per name, grouped by subject.

pub mod arithmetic;
pub mod autograd;
pub mod creation;
pub mod gather;
pub mod indexing;
pub mod numpy;
pub mod properties;
pub mod rearrange;
pub mod rows;
pub mod shape;
pub mod values;

use crate::dispatch::Entry;

/// All of them.
pub static GROUPS: &[&[Entry]] = &[
    arithmetic::ENTRIES,
    autograd::ENTRIES,
    creation::ENTRIES,
    gather::ENTRIES,
    indexing::ENTRIES,
    indexing::methods::ENTRIES,
    numpy::ENTRIES,
    rearrange::ENTRIES,
    shape::ENTRIES,
    values::ENTRIES,
];
