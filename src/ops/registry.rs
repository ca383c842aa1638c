//! Every op's checks in one place: rows bring theirs along, blocks list them beside their derivative.

use crate::error::Result;
use crate::gradcheck::{Check, Sampler};
use crate::graph::{Operand, Row, Tensor};

/// The tables of rows.
pub static TABLES: &[&[&Row]] = &[crate::graph::vector_space::ROWS, super::arithmetic::ROWS];

/// The blocks' own checks.
pub static BLOCKS: &[&[Check]] = &[
    super::copy::CHECKS,
    super::indexing::CHECKS,
    super::join::CHECKS,
    super::part::CHECKS,
    super::selection::CHECKS,
    super::split::CHECKS,
    super::view::CHECKS,
];

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().flat_map(|table| table.iter().copied())
}

/// Inputs from a row's domain, of two shapes that broadcast.
pub fn row_inputs(row: &Row, sampler: &mut Sampler) -> Result<Vec<Tensor>> {
    let (low, high) = row.domain;
    (0..row.inputs.len())
        .map(|i| sampler.uniform(if i % 2 == 0 { &[2, 3] } else { &[3] }, low, high))
        .collect()
}

/// Calls a row on as many tensors as it has inputs; those without a derivative are given as numbers.
pub fn call_row(row: &'static Row, x: &[Tensor]) -> Result<Tensor> {
    use crate::graph::row::apply;
    let t = |i: usize| Operand::Tensor(&x[i]);
    match row.inputs.len() {
        1 => apply(row, [t(0)]),
        2 => apply(row, [t(0), t(1)]),
        3 => apply(row, [t(0), t(1), t(2)]),
        _ => apply(row, [t(0), t(1), t(2), t(3)]),
    }
}
