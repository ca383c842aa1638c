//! Every op's checks in one place: rows bring theirs along, blocks list them beside their derivative.

use crate::array::Scalar;
use crate::error::Result;
use crate::gradcheck::{self, Check, Sampler};
use crate::graph::row::apply;
use crate::graph::{Operand, Row, Tensor};

/// The tables of rows whose name is an op's name.
pub static TABLES: &[&[&Row]] = &[
    crate::graph::vector_space::SUM,
    super::arithmetic::ARITHMETIC,
    super::comparison::COMPARISON,
    super::exponential::EXPONENTIAL,
    super::trigonometric::TRIGONOMETRIC,
    super::rounding::ROUNDING,
    super::activation::ACTIVATION,
    super::special::SPECIAL,
];

/// The blocks' own checks.
#[rustfmt::skip] // one a line
pub static BLOCKS: &[&[Check]] = &[
    super::copying::CHECKS,
    super::gather::CHECKS,
    super::nn::convolution::CHECKS,
    super::reduction::sum::CHECKS,
    super::reduction::product::CHECKS,
    super::reduction::extrema::CHECKS,
    super::reduction::moments::CHECKS,
    super::reduction::norm::CHECKS,
    super::reduction::order::CHECKS,
    super::reduction::softmax::CHECKS,
    super::indexing::CHECKS,
    super::join::CHECKS,
    super::memory::CHECKS,
    super::part::CHECKS,
    super::rearrange::CHECKS,
    super::scatter::CHECKS,
    super::scatter::REDUCTIONS,
    super::selection::CHECKS,
    super::sorting::CHECKS,
    super::split::CHECKS,
    super::view::CHECKS,
    super::nn::pooling::CHECKS,
    super::nn::loss::CHECKS,
    super::nn::class_loss::CHECKS,
    super::nn::normalization::CHECKS,
    super::nn::embedding::CHECKS,
    super::nn::resampling::CHECKS,
    super::nn::shuffling::CHECKS,
    super::nn::activation::CHECKS,
    super::nn::attention::CHECKS,
    super::product::added::CHECKS,
    super::product::batch::CHECKS,
    super::product::broadcast::CHECKS,
    super::einsum::CHECKS,
    super::product::chain::CHECKS,
    super::product::contraction::CHECKS,
    super::product::cross::CHECKS,
    super::product::distance::CHECKS,
    super::product::matrix::CHECKS,
    super::product::vector::CHECKS,
    super::linear_algebra::cholesky::CHECKS,
    super::linear_algebra::determinant::CHECKS,
    super::linear_algebra::eigen::CHECKS,
    super::linear_algebra::inverse::CHECKS,
    super::linear_algebra::qr::CHECKS,
    super::linear_algebra::singular::CHECKS,
    super::linear_algebra::solve::CHECKS,
    super::writing::CHECKS,
];

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().chain([&super::special_cases::SPECIAL_CASES]).flat_map(|table| table.iter().copied())
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
        let mut operand = |i: usize| match differentiated(i).then(|| tensors.next()).flatten() {
            Some(x) => Operand::Tensor(x),
            // The order of polygamma is a whole number; other parameters may be anything.
            None if row.inputs[i] == "n" => Operand::Scalar(Scalar::Float(1.0)),
            // Where zeta converges.
            None if row.unknown.is_some() => Operand::Scalar(Scalar::Float(2.5)),
            None => Operand::Scalar(Scalar::Float(NUMBERS[i])),
        };
        let y = match row.inputs.len() {
            1 => apply(row, [operand(0)]),
            2 => apply(row, [operand(0), operand(1)]),
            3 => apply(row, [operand(0), operand(1), operand(2)]),
            _ => apply(row, [operand(0), operand(1), operand(2), operand(3)]),
        };
        Ok(vec![y?])
    };
    gradcheck::run_with(row.name, inputs, &call, 2, &mut sampler)
}
