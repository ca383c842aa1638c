//! What Python sees of each op: one declaration per name, grouped by subject.

pub mod arithmetic;
pub mod autograd;
pub mod creation;
pub mod forward;
pub mod gather;
pub mod indexing;
pub mod linear_algebra;
pub mod nn;
pub mod numpy;
pub mod optimizer;
pub mod overrides;
pub mod product;
pub mod profile;
pub mod properties;
pub mod protocol;
pub mod queries;
pub mod random;
pub mod rearrange;
pub mod reduction;
pub mod rows;
pub mod shape;
pub mod storage;
pub mod values;
pub mod view_copies;

use crate::dispatch::Entry;

/// All of them.
#[rustfmt::skip] // one a line: a new group is one line
pub static GROUPS: &[&[Entry]] = &[
    arithmetic::ENTRIES,
    autograd::ENTRIES,
    creation::ENTRIES,
    forward::ENTRIES,
    gather::ENTRIES,
    indexing::ENTRIES,
    indexing::methods::ENTRIES,
    linear_algebra::ENTRIES,
    nn::ENTRIES,
    numpy::ENTRIES,
    optimizer::ENTRIES,
    overrides::ENTRIES,
    product::ENTRIES,
    profile::ENTRIES,
    protocol::ENTRIES,
    queries::ENTRIES,
    random::ENTRIES,
    rearrange::ENTRIES,
    reduction::ENTRIES,
    shape::ENTRIES,
    storage::ENTRIES,
    values::ENTRIES,
    view_copies::ENTRIES,
];
