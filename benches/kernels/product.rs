//! Products of `f32` matrices, and the linear layer around them.

use arcgrad::ops;
use divan::{Bencher, counter::ItemsCount};

use crate::answer::{assert_sums, numbers};
use crate::draw::Draw;
use crate::work::time;

/// The counter is in multiplications.
#[divan::bench(args = [8, 16, 32, 64, 128, 256, 512, 1024])]
fn square(bencher: Bencher<'_, '_>, n: usize) {
    let mut draw = Draw::new();
    let [a, b] = [(); 2].map(|()| draw.normal(&[n, n], 1.0));
    let (left, right) = (&numbers(&a), &numbers(&b));
    let product = ops::matmul(&a, &b).expect("a product");
    assert_sums(&product, |place| (0..n).map(move |k| left[place / n * n + k] * right[k * n + place % n]));
    time(bencher.counter(ItemsCount::new(n * n * n)), || ops::matmul(&a, &b));
}

/// `x Wᵀ + b` of a batch, both sides of `W` as wide as given; the counter is in multiplications.
#[divan::bench(args = [
    (1, 256), (1, 512), (1, 1024), (8, 256), (8, 512), (8, 1024), (32, 256), (32, 512), (32, 1024), (128, 256), (128, 512),
    (128, 1024),
])]
fn linear(bencher: Bencher<'_, '_>, (batch, width): (usize, usize)) {
    let mut draw = Draw::new();
    let x = draw.normal(&[batch, width], 1.0);
    let weight = draw.normal(&[width, width], (width as f64).powf(-0.5));
    let bias = draw.normal(&[width], 1.0);
    let call = || ops::linear(&x, &weight, Some(&bias));
    let (xs, weights, biases) = (&numbers(&x), &numbers(&weight), &numbers(&bias));
    assert_sums(&call().expect("a layer's output"), |place| {
        let (row, column) = (place / width, place % width);
        let products = (0..width).map(move |k| xs[row * width + k] * weights[column * width + k]);
        products.chain([biases[column]])
    });
    time(bencher.counter(ItemsCount::new(batch * width * width)), call);
}
