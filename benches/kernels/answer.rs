//! How answers are judged: against `f64`, with the error that `f32` cannot help making.

use arcgrad::Tensor;

/// One rounding.
pub const EPSILON: f64 = f32::EPSILON as f64;

/// Roundings of all its terms' magnitudes that a sum may be off; a sum of thousands one after the other stays below.
const ROUNDINGS_OF_A_SUM: f64 = 4.0;

/// Not more places of an answer than this are computed anew, evenly spread.
const PLACES: usize = 4096;

/// The numbers of a tensor, as `f64`.
pub fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_vec::<f32>().expect("f32").into_iter().map(f64::from).collect()
}

fn places(count: usize) -> impl Iterator<Item = usize> {
    // An odd step meets all columns of a matrix whose width is a power of two.
    (0..count).step_by(count.div_ceil(PLACES) | 1)
}

/// Each number of `got` is the sum of its terms.
pub fn assert_sums<I: Iterator<Item = f64>>(got: &Tensor, terms: impl Fn(usize) -> I) {
    let got = numbers(got);
    for place in places(got.len()) {
        let (sum, magnitude) = terms(place).fold((0.0, 0.0), |(s, m), term| (s + term, m + term.abs()));
        let error = (got[place] - sum).abs();
        let bound = ROUNDINGS_OF_A_SUM * EPSILON * magnitude;
        assert!(error <= bound, "place {place}: {} for {sum}, off by more than {bound:e}", got[place]);
    }
}

/// No number of `got` is farther from the expected one than `bound`.
pub fn assert_within(bound: f64, got: &Tensor, expected: impl Fn(usize) -> f64) {
    let got = numbers(got);
    for place in places(got.len()) {
        let expected = expected(place);
        let error = (got[place] - expected).abs();
        assert!(error <= bound, "place {place}: {} for {expected}, off by more than {bound:e}", got[place]);
    }
}

/// The inner products of two pairs of tensors are the same number.
pub fn assert_same_inner(pairs: [(&Tensor, &Tensor); 2]) {
    let [(first, magnitude), (second, _)] = pairs.map(|(a, b)| {
        let products = numbers(a).into_iter().zip(numbers(b)).map(|(a, b)| a * b);
        products.fold((0.0, 0.0), |(sum, magnitude), term| (sum + term, magnitude + term.abs()))
    });
    let bound = ROUNDINGS_OF_A_SUM * EPSILON * magnitude;
    assert!((first - second).abs() <= bound, "{first} and {second}, apart by more than {bound:e}");
}
