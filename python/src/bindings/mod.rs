//! What Python sees of each op: one declaration per name, grouped by subject.

pub mod arithmetic;
pub mod autograd;
pub mod creation;
pub mod indexing;
pub mod numpy;
pub mod product;
pub mod properties;
pub mod protocol;
pub mod queries;
pub mod random;
pub mod reduction;
pub mod product;
pub mod rows;
pub mod shape;
pub mod values;

use crate::dispatch::Entry;

/// All of them.
#[rustfmt::skip] // one a line: a new group is one line
pub static GROUPS: &[&[Entry]] = &[
    arithmetic::ENTRIES,
    autograd::ENTRIES,
    creation::ENTRIES,
    numpy::ENTRIES,
    protocol::ENTRIES,
    queries::ENTRIES,
    random::ENTRIES,
    values::ENTRIES,
    reduction::ENTRIES,
    product::ENTRIES,
    indexing::ENTRIES,
    indexing::methods::ENTRIES,
    shape::ENTRIES,
];
