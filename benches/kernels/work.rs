//! What is timed: an op, or an op and the pass back through it.

use arcgrad::engine::{Options, grad, root};
use arcgrad::{Result, Tensor};
use divan::{Bencher, black_box_drop};

/// Times a call. Its output is dropped within the timing, as by a program that calls in a loop.
pub fn time(bencher: Bencher<'_, '_>, call: impl Fn() -> Result<Tensor>) {
    bencher.bench_local(|| black_box_drop(call().expect("an output")));
}

/// The gradients for `inputs` of an output to which `cotangent` arrives.
pub fn gradients(y: &Tensor, inputs: &[Tensor], cotangent: Option<&Tensor>, options: Options) -> Vec<Tensor> {
    let root = root(y, 0, cotangent).expect("an output with a history");
    let gradients = grad(vec![root], inputs, options).expect("a pass");
    gradients.into_iter().map(|g| g.expect("a gradient of each input")).collect()
}

/// Times a call and the pass back to `inputs`.
pub fn time_with_gradients(
    bencher: Bencher<'_, '_>,
    inputs: &[Tensor],
    cotangent: Option<&Tensor>,
    call: impl Fn() -> Result<Tensor>,
) {
    bencher.bench_local(|| {
        let y = call().expect("an output");
        black_box_drop(gradients(&y, inputs, cotangent, Options::default()));
    });
}

/// Times the pass back from `y` to `inputs` alone; the graph is kept for the next.
pub fn time_pass(bencher: Bencher<'_, '_>, y: &Tensor, inputs: &[Tensor], cotangent: &Tensor) {
    let keep = Options { retain_graph: true, ..Options::default() };
    bencher.bench_local(|| black_box_drop(gradients(y, inputs, Some(cotangent), keep)));
}
