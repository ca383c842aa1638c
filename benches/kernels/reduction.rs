//! Sums and their kin over either axis of a matrix, and the normalizing functions and losses built on them.

use arcgrad::engine::Options;
use arcgrad::ops::nn::class_loss::cross_entropy as cross_entropy_of;
use arcgrad::ops::nn::loss::Reduction;
use arcgrad::ops::nn::normalization::layer_norm as layer_norm_of;
use arcgrad::{Result, Tensor, ops};
use divan::Bencher;

use crate::answer::{EPSILON, assert_sums, assert_within, numbers};
use crate::draw::Draw;
use crate::work::{gradients, time, time_with_gradients};

/// Rows, and columns.
const N: usize = 1024;

/// The numbers of a row or a column of a matrix.
fn row(x: &[f64], place: usize) -> impl Iterator<Item = f64> + Clone {
    x[place * N..][..N].iter().copied()
}

fn column(x: &[f64], place: usize) -> impl Iterator<Item = f64> + Clone {
    x[place..].iter().step_by(N).copied()
}

fn mean(line: impl Iterator<Item = f64>) -> f64 {
    line.sum::<f64>() / N as f64
}

/// The variance, by one less than the count or `correction` less.
fn variance(line: impl Iterator<Item = f64> + Clone, correction: f64) -> f64 {
    let mean = mean(line.clone());
    line.map(|x| (x - mean).powi(2)).sum::<f64>() / (N as f64 - correction)
}

/// The logarithm of the sum of exponentials.
fn log_of_exponentials(line: impl Iterator<Item = f64>) -> f64 {
    line.map(f64::exp).sum::<f64>().ln()
}

fn matrix() -> (Tensor, Vec<f64>) {
    let x = Draw::new().normal(&[N, N], 1.0);
    let numbers = numbers(&x);
    (x, numbers)
}

#[divan::bench]
fn sum(bencher: Bencher<'_, '_>) {
    let (x, values) = matrix();
    let call = || ops::sum(&x, None, false, None);
    assert_sums(&call().expect("a sum"), |_| values.iter().copied());
    time(bencher, call);
}

#[divan::bench]
fn sum_0(bencher: Bencher<'_, '_>) {
    let (x, values) = matrix();
    let call = || ops::sum(&x, Some(&[0]), false, None);
    assert_sums(&call().expect("sums"), |place| column(&values, place));
    time(bencher, call);
}

#[divan::bench]
fn sum_1(bencher: Bencher<'_, '_>) {
    let (x, values) = matrix();
    let call = || ops::sum(&x, Some(&[1]), false, None);
    assert_sums(&call().expect("sums"), |place| row(&values, place));
    time(bencher, call);
}

#[divan::bench]
fn max_1(bencher: Bencher<'_, '_>) {
    let (x, values) = matrix();
    let call = || ops::amax(&x, Some(&[1]), false);
    assert_within(0.0, &call().expect("maxima"), |place| row(&values, place).fold(f64::MIN, f64::max));
    time(bencher, call);
}

#[divan::bench]
fn var_0(bencher: Bencher<'_, '_>) {
    let (x, values) = matrix();
    let call = || ops::var(&x, Some(&[0]), 1.0, false);
    // Variances are near one, and a few roundings off.
    assert_within(8.0 * EPSILON, &call().expect("variances"), |place| variance(column(&values, place), 1.0));
    time(bencher, call);
}

#[divan::bench]
fn logsumexp_1(bencher: Bencher<'_, '_>) {
    let (x, values) = matrix();
    let call = || ops::logsumexp(&x, Some(&[1]), false);
    // Values are near 7.4, and rounded to 4 of these.
    assert_within(8.0 * EPSILON, &call().expect("logarithms"), |place| {
        log_of_exponentials(row(&values, place))
    });
    time(bencher, call);
}

/// Compares the gradient with `expected` and times the op with its pass back.
fn check_and_time(
    bencher: Bencher<'_, '_>,
    bound: f64,
    (x, cotangent): (&Tensor, Option<&Tensor>),
    call: impl Fn(&Tensor) -> Result<Tensor>,
    expected: impl Fn(usize) -> f64,
) {
    let inputs = std::slice::from_ref(x);
    let y = call(x).expect("an output");
    assert_within(bound, &gradients(&y, inputs, cotangent, Options::default())[0], expected);
    time_with_gradients(bencher, inputs, cotangent, || call(x));
}

/// A leaf, its numbers, a gradient of the given shape that arrives, and its numbers.
fn leaf_and_cotangent(shape: &[usize]) -> (Tensor, Vec<f64>, Tensor, Vec<f64>) {
    let mut draw = Draw::new();
    let (x, cotangent) = (draw.leaf(&[N, N], 1.0), draw.normal(shape, 1.0));
    let (values, arriving) = (numbers(&x), numbers(&cotangent));
    (x, values, cotangent, arriving)
}

#[divan::bench]
fn sum_1_and_backward(bencher: Bencher<'_, '_>) {
    let (x, _, cotangent, arriving) = leaf_and_cotangent(&[N]);
    let call = |x: &Tensor| ops::sum(x, Some(&[1]), false, None);
    check_and_time(bencher, 0.0, (&x, Some(&cotangent)), call, |place| arriving[place / N]);
}

#[divan::bench]
fn var_0_and_backward(bencher: Bencher<'_, '_>) {
    let (x, values, cotangent, arriving) = leaf_and_cotangent(&[N]);
    let means: Vec<f64> = (0..N).map(|place| mean(column(&values, place))).collect();
    let call = |x: &Tensor| ops::var(x, Some(&[0]), 1.0, false);
    // Gradients are below 0.05.
    check_and_time(bencher, EPSILON, (&x, Some(&cotangent)), call, |place| {
        arriving[place % N] * 2.0 * (values[place] - means[place % N]) / (N as f64 - 1.0)
    });
}

#[divan::bench]
fn softmax_and_backward(bencher: Bencher<'_, '_>) {
    let (x, values, cotangent, arriving) = leaf_and_cotangent(&[N, N]);
    let logarithms: Vec<f64> = (0..N).map(|place| log_of_exponentials(row(&values, place))).collect();
    let y: Vec<f64> = (0..N * N).map(|place| (values[place] - logarithms[place / N]).exp()).collect();
    let inner: Vec<f64> =
        (0..N).map(|place| row(&y, place).zip(row(&arriving, place)).map(|(y, g)| y * g).sum()).collect();
    // Probabilities are below 0.1, and gradients a few times that.
    check_and_time(
        bencher,
        EPSILON,
        (&x, Some(&cotangent)),
        |x| ops::softmax(x, 1, None),
        |place| y[place] * (arriving[place] - inner[place / N]),
    );
}

#[divan::bench]
fn log_softmax_and_backward(bencher: Bencher<'_, '_>) {
    let (x, values, cotangent, arriving) = leaf_and_cotangent(&[N, N]);
    let logarithms: Vec<f64> = (0..N).map(|place| log_of_exponentials(row(&values, place))).collect();
    let sums: Vec<f64> = (0..N).map(|place| row(&arriving, place).sum()).collect();
    // Gradients are below 8, after a sum of as many numbers as a row has.
    check_and_time(
        bencher,
        16.0 * EPSILON,
        (&x, Some(&cotangent)),
        |x| ops::log_softmax(x, 1, None),
        |place| arriving[place] - (values[place] - logarithms[place / N]).exp() * sums[place / N],
    );
}

#[divan::bench]
fn layer_norm_and_backward(bencher: Bencher<'_, '_>) {
    const EPS: f64 = 1e-5;
    let (x, values, cotangent, arriving) = leaf_and_cotangent(&[N, N]);
    let means: Vec<f64> = (0..N).map(|place| mean(row(&values, place))).collect();
    let scales: Vec<f64> =
        (0..N).map(|place| (variance(row(&values, place), 0.0) + EPS).sqrt().recip()).collect();
    let normal = |place: usize| (values[place] - means[place / N]) * scales[place / N];
    // What of the gradient that arrives lies along the ones and along the output has no effect.
    let along: Vec<(f64, f64)> = (0..N)
        .map(|line| {
            let of_ones = mean(row(&arriving, line));
            (of_ones, mean((line * N..(line + 1) * N).map(|place| arriving[place] * normal(place))))
        })
        .collect();
    // Gradients are below 8.
    check_and_time(
        bencher,
        16.0 * EPSILON,
        (&x, Some(&cotangent)),
        |x| layer_norm_of(x, &[N as isize], None, None, EPS),
        |place| {
            let (of_ones, of_output) = along[place / N];
            scales[place / N] * (arriving[place] - of_ones - normal(place) * of_output)
        },
    );
}

#[divan::bench]
fn cross_entropy_and_backward(bencher: Bencher<'_, '_>) {
    let x = Draw::new().leaf(&[N, N], 1.0);
    let values = numbers(&x);
    let classes: Vec<i64> = (0..N).map(|row| (37 * row % N) as i64).collect();
    let target = Tensor::from_slice(&classes, &[N]).expect("classes");
    let logarithms: Vec<f64> = (0..N).map(|place| log_of_exponentials(row(&values, place))).collect();
    // Probabilities less one at the target, by the number of rows: below 1 / N.
    check_and_time(
        bencher,
        EPSILON / N as f64,
        (&x, None),
        |x| cross_entropy_of(x, &target, None, Reduction::Mean, -100, 0.0),
        |place| {
            let hit = classes[place / N] == (place % N) as i64;
            ((values[place] - logarithms[place / N]).exp() - f64::from(u8::from(hit))) / N as f64
        },
    );
}
