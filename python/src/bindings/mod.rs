//! What Python sees of each op: one declaration per name, grouped by subject.

pub mod arithmetic;
pub mod autograd;
pub mod creation;
pub mod numpy;
pub mod product;
pub mod properties;
pub mod rows;
pub mod values;

use crate::dispatch::Entry;

/// All of them.
pub static GROUPS: &[&[Entry]] =
    &[arithmetic::ENTRIES, autograd::ENTRIES, creation::ENTRIES, numpy::ENTRIES, product::ENTRIES, values::ENTRIES];
