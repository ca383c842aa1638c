//! Functions of each element, from a thousand elements to four million.

use arcgrad::{Result, Tensor, ops};
use divan::{Bencher, counter::ItemsCount};

use crate::answer::{EPSILON, numbers};
use crate::draw::Draw;
use crate::work::time;

const SIZES: [usize; 3] = [1_000, 100_000, 4_000_000];
const COLUMNS: usize = 1000;
/// Beyond any function's stated error in units in the last place (docs/accuracy.md), gelu's the largest of these.
const UNITS: f64 = 8.0;

fn normal(size: usize) -> Tensor {
    Draw::new().normal(&[size / COLUMNS, COLUMNS], 1.0)
}

/// Compares each element with its value in `f64`, then times.
fn check_and_time(
    bencher: Bencher<'_, '_>,
    call: impl Fn() -> Result<Tensor>,
    expected: impl Iterator<Item = f64>,
) {
    let got = numbers(&call().expect("an output"));
    for (place, (&got, expected)) in got.iter().zip(expected).enumerate() {
        let bound = UNITS * EPSILON * expected.abs();
        assert!((got - expected).abs() <= bound, "place {place}: {got} for {expected}");
    }
    time(bencher.counter(ItemsCount::new(got.len())), call);
}

/// Compares and times a function of one tensor.
fn unary(
    bencher: Bencher<'_, '_>,
    x: &Tensor,
    call: fn(&Tensor) -> Result<Tensor>,
    expected: fn(f64) -> f64,
) {
    check_and_time(bencher, || call(x), numbers(x).into_iter().map(expected));
}

#[divan::bench(args = SIZES)]
fn add(bencher: Bencher<'_, '_>, size: usize) {
    let mut draw = Draw::new();
    let [x, y] = [(); 2].map(|()| draw.normal(&[size / COLUMNS, COLUMNS], 1.0));
    let expected = numbers(&x).into_iter().zip(numbers(&y)).map(|(x, y)| x + y);
    check_and_time(bencher, || ops::add(&x, &y), expected);
}

#[divan::bench(args = SIZES)]
fn mul_broadcast(bencher: Bencher<'_, '_>, size: usize) {
    let mut draw = Draw::new();
    let (x, row) = (draw.normal(&[size / COLUMNS, COLUMNS], 1.0), draw.normal(&[COLUMNS], 1.0));
    let expected = numbers(&x).into_iter().zip(numbers(&row).into_iter().cycle()).map(|(x, y)| x * y);
    check_and_time(bencher, || ops::mul(&x, &row), expected);
}

#[divan::bench(args = SIZES)]
fn exp(bencher: Bencher<'_, '_>, size: usize) {
    unary(bencher, &normal(size), |x| ops::exp(x), f64::exp);
}

#[divan::bench(args = SIZES)]
fn log(bencher: Bencher<'_, '_>, size: usize) {
    let positive = ops::abs(&normal(size)).and_then(|x| ops::add(&x, 0.1)).expect("positive numbers");
    unary(bencher, &positive, |x| ops::log(x), f64::ln);
}

#[divan::bench(args = SIZES)]
fn tanh(bencher: Bencher<'_, '_>, size: usize) {
    unary(bencher, &normal(size), |x| ops::tanh(x), f64::tanh);
}

#[divan::bench(args = SIZES)]
fn sigmoid(bencher: Bencher<'_, '_>, size: usize) {
    unary(bencher, &normal(size), |x| ops::sigmoid(x), |x| 1.0 / (1.0 + (-x).exp()));
}

#[divan::bench(args = SIZES)]
fn gelu(bencher: Bencher<'_, '_>, size: usize) {
    let expected = |x: f64| 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    unary(bencher, &normal(size), |x| ops::gelu(x), expected);
}
