//! Every op's checks in one place: rows bring theirs along, blocks list them beside their derivative.

use crate::error::Result;
use crate::gradcheck::{Check, Sampler};
use crate::graph::{Operand, Row, Tensor};

/// The tables of rows whose name is an op's name.
pub static TABLES: &[&[&Row]] = &[
    crate::graph::vector_space::ROWS,
    super::arithmetic::ROWS,
    super::comparison::ROWS,
    super::exponential::ROWS,
    super::trigonometric::ROWS,
    super::rounding::ROWS,
    super::activation::ROWS,
    super::special::ROWS,
];

/// The tables of rows behind a name that decides between several.
pub static SPECIAL_CASES: &[&[&Row]] = &[
    super::arithmetic::special_cases::ROWS,
    super::comparison::special_cases::ROWS,
    super::exponential::special_cases::ROWS,
    super::activation::special_cases::ROWS,
    super::special::special_cases::ROWS,
];

/// The blocks' own checks.
pub static BLOCKS: &[&[Check]] = &[super::copying::CHECKS];

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().chain(SPECIAL_CASES).flat_map(|table| table.iter().copied())
}

/// Numbers for those inputs of a row that have no derivative.
const NUMBERS: [f64; 5] = [0.4, -0.6, 0.8, 0.7, 0.3];

/// Checks the derivatives of a row at points of its domain, over shapes that broadcast.
pub fn check_row(row: &'static Row, seed: u64) -> Result<()> {
    let differentiated = |i: usize| row.derivatives.iter().any(|d| usize::from(d.input) == i);
    let mut sampler = Sampler::new(seed);
    let (low, high) = row.domain;
    let mut inputs = Vec::new();
    for i in 0..row.inputs.len() {
        if differentiated(i) {
            inputs.push(sampler.uniform(if i % 2 == 0 { &[2, 3] } else { &[3] }, low, high)?);
        }
    }
    let call = |x: &[Tensor]| {
        let mut tensors = x.iter();
        let operand = |i: usize| match tensors.next().filter(|_| differentiated(i)) {
            Some(x) => Operand::Tensor(x),
            None => Operand::Scalar(Scalar::Float(if row.name == "polygamma_row" { 1.0 } else { NUMBERS[i] })),
        };
        let operands: Vec<Operand<'_>> = (0..row.inputs.len()).map(operand_in_order(differentiated, operand)).collect();
        Ok(vec![apply_any(row, &operands)?])
    };
    gradcheck::run_with(row.name, inputs, &call, 2, &mut sampler)
}
