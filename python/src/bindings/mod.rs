//! What Python sees of each op: one declaration per name, grouped by subject.

pub mod arithmetic;
pub mod autograd;
pub mod creation;
pub mod numpy;
pub mod product;
pub mod properties;
pub mod reduction;
pub mod rows;
pub mod values;

use crate::dispatch::Entry;

/// All of them.
#[rustfmt::skip] // one a line: a new group is one line
pub static GROUPS: &[&[Entry]] = &[
    arithmetic::ENTRIES,
    autograd::ENTRIES,
    creation::ENTRIES,
    numpy::ENTRIES,
    values::ENTRIES,
    reduction::ENTRIES,
    product::ENTRIES,
    values::ENTRIES,
];
