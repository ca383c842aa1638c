//! Backward passes by the shape of the graph and the number of threads, and what a node costs.

use arcgrad::array::pool;
use arcgrad::engine::{Host, Options, Schedule, root};
use arcgrad::{DType, Tensor, ops};
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

/// What a pass over this output costs with the graph kept, so that it can be timed again; gradients go to the caller.
fn time(bencher: Bencher<'_, '_>, schedule: Schedule, leaf: &Tensor, y: &Tensor, nodes: usize) {
    let ones = Tensor::ones(&y.shape(), y.dtype()).expect("a gradient");
    let options = Options { retain_graph: true, create_graph: false, ..Default::default() };
    let host = Host { schedule, ..Host::default() };
    let edge = leaf.gradient_edge().expect("a leaf");
    bencher.counter(ItemsCount::new(nodes)).bench_local(|| {
        let root = root(y, 0, Some(&ones)).expect("a history");
        host.grad(vec![root], std::slice::from_ref(&edge), options).expect("a gradient")
    });
}

fn leaf(shape: &[usize]) -> Tensor {
    Tensor::full(shape, 0.01, DType::F32).and_then(|x| x.requires_grad_(true)).expect("a leaf")
}

/// One multiplication after another, four elements each: the counter is in nodes.
#[divan::bench(args = [1, 10, 1000])]
fn chain(bencher: Bencher<'_, '_>, nodes: usize) {
    let x = leaf(&[4]);
    let mut y = x.clone();
    for _ in 0..nodes {
        y = ops::mul(&y, 1.5).expect("a product");
    }
    time(bencher, Schedule::Inline, &x, &y, nodes);
}

/// Each value used twice by the next: as many contributions as edges.
#[divan::bench(args = [10, 1000])]
fn diamonds(bencher: Bencher<'_, '_>, nodes: usize) {
    let x = leaf(&[4]);
    let mut y = x.clone();
    for _ in 0..nodes {
        y = ops::mul(&y, &y).expect("a product");
    }
    time(bencher, Schedule::Inline, &x, &y, nodes);
}

/// One value used by many, whose results are summed in one chain.
#[divan::bench(args = [10, 1000])]
fn wide(bencher: Bencher<'_, '_>, nodes: usize) {
    let x = leaf(&[4]);
    let mut y = x.clone();
    for _ in 0..nodes {
        y = ops::tanh(&x).and_then(|h| ops::add(&y, &h)).expect("a sum");
    }
    time(bencher, Schedule::Inline, &x, &y, 2 * nodes);
}

/// Eight branches of four times matmul and tanh, summed.
fn branches(n: usize) -> (Tensor, Tensor) {
    let x = leaf(&[n, n]);
    let mut sum: Option<Tensor> = None;
    for _ in 0..8 {
        let w = leaf(&[n, n]);
        let mut h = x.clone();
        for _ in 0..4 {
            h = ops::matmul(&h, &w).and_then(|h| ops::tanh(&h)).expect("a branch");
        }
        sum = Some(match sum {
            None => h,
            Some(sum) => ops::add(&sum, &h).expect("a sum"),
        });
    }
    (x, sum.expect("eight branches"))
}

#[divan::bench(args = [(64, 1), (64, 2), (128, 1), (128, 2), (128, 4)])]
fn matmul_and_tanh(bencher: Bencher<'_, '_>, (n, threads): (usize, usize)) {
    pool::set_num_threads(threads);
    let (x, y) = branches(n);
    time(bencher, Schedule::Auto, &x, &y, 8 * 9);
}

/// The same on two threads with the graph's nodes one after the other: only kernels use the second.
#[divan::bench(args = [64, 128])]
fn matmul_and_tanh_inline(bencher: Bencher<'_, '_>, n: usize) {
    pool::set_num_threads(2);
    let (x, y) = branches(n);
    time(bencher, Schedule::Inline, &x, &y, 8 * 9);
}
