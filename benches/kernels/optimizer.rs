//! Steps of optimizers over groups of parameters of 1024 elements.

use arcgrad::ops::optimizer::{Adam, Sgd, adam_, sgd_};
use arcgrad::{DType, Tensor};
use divan::Bencher;

use crate::answer::{EPSILON, assert_within, numbers};
use crate::draw::Draw;

const LR: f64 = 1e-3;
const SHAPE: [usize; 2] = [32, 32];
/// Parameters are below 8.
const BOUND: f64 = 8.0 * EPSILON;

/// Parameters and their gradients.
fn group(count: usize) -> [Vec<Tensor>; 2] {
    let mut draw = Draw::new();
    [(); 2].map(|()| (0..count).map(|_| draw.normal(&SHAPE, 1.0)).collect())
}

/// Runs the step and compares each parameter with where `moved` takes it.
fn check(params: &[Tensor], grads: &[Tensor], step: impl FnOnce(), moved: impl Fn(f64, f64) -> f64) {
    let before: Vec<_> = params.iter().map(numbers).collect();
    step();
    for ((param, before), grad) in params.iter().zip(before).zip(grads) {
        let grad = numbers(grad);
        assert_within(BOUND, param, |place| moved(before[place], grad[place]));
    }
}

#[divan::bench(args = [6, 200])]
fn sgd(bencher: Bencher<'_, '_>, count: usize) {
    let [params, grads] = group(count);
    let options = Sgd {
        lr: LR,
        momentum: 0.0,
        dampening: 0.0,
        weight_decay: 0.0,
        nesterov: false,
        maximize: false,
        first: true,
    };
    let step = || sgd_(&params, &grads, &[], options).expect("a step");
    check(&params, &grads, step, |x, g| x - LR * g);
    bencher.bench_local(step);
}

#[divan::bench(args = [6, 200])]
fn adam(bencher: Bencher<'_, '_>, count: usize) {
    const EPS: f64 = 1e-8;
    let [params, grads] = group(count);
    let zeros = |shape: &[usize]| -> Vec<Tensor> {
        (0..count).map(|_| Tensor::zeros(shape, DType::F32).expect("zeros")).collect()
    };
    let (averages, squares, steps) = (zeros(&SHAPE), zeros(&SHAPE), zeros(&[]));
    let options =
        Adam { lr: LR, betas: (0.9, 0.999), eps: EPS, weight_decay: 0.0, decoupled: false, maximize: false };
    let step = || adam_(&params, &grads, [&averages, &squares, &[]], &steps, options).expect("a step");
    // After one step the averages, by their bias, are the gradient and its square.
    check(&params, &grads, step, |x, g| x - LR * g / (g.abs() + EPS));
    bencher.bench_local(step);
}
