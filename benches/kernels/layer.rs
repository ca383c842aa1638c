//! The heavy layers by themselves: convolution of several kinds, and attention.

use std::fmt::{self, Display, Formatter};

use arcgrad::engine::Options;
use arcgrad::ops::nn::attention::attention as attention_of;
use arcgrad::ops::nn::convolution::{Padding, conv2d};
use arcgrad::{Result, Tensor};
use divan::Bencher;

use crate::answer::{EPSILON, assert_same_inner, assert_sums, assert_within, numbers};
use crate::draw::Draw;
use crate::work::{gradients, time, time_pass, time_with_gradients};

/// A convolution over square images with a square window, whose output is as large as the image by the stride.
#[derive(Clone, Copy)]
struct Layer {
    name: &'static str,
    batch: usize,
    channels: usize,
    outputs: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

const LAYERS: [Layer; 5] = [
    Layer {
        name: "digits, first layer",
        batch: 32,
        channels: 1,
        outputs: 16,
        side: 28,
        kernel: 3,
        stride: 1,
        groups: 1,
    },
    Layer {
        name: "3x3, 32 to 64",
        batch: 32,
        channels: 32,
        outputs: 64,
        side: 14,
        kernel: 3,
        stride: 1,
        groups: 1,
    },
    Layer {
        name: "1x1, 64 to 128",
        batch: 32,
        channels: 64,
        outputs: 128,
        side: 14,
        kernel: 1,
        stride: 1,
        groups: 1,
    },
    Layer {
        name: "depthwise 3x3, 64",
        batch: 32,
        channels: 64,
        outputs: 64,
        side: 14,
        kernel: 3,
        stride: 1,
        groups: 64,
    },
    Layer {
        name: "7x7 stride 2, 3 to 64",
        batch: 8,
        channels: 3,
        outputs: 64,
        side: 64,
        kernel: 7,
        stride: 2,
        groups: 1,
    },
];

impl Display for Layer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Layer {
    /// Channels that one output sees.
    fn seen(self) -> usize {
        self.channels / self.groups
    }

    /// Input and weight.
    fn operands(self) -> [Tensor; 2] {
        let mut draw = Draw::new();
        let fan = self.seen() * self.kernel * self.kernel;
        let x = draw.leaf(&[self.batch, self.channels, self.side, self.side], 1.0);
        let weight = [self.outputs, self.seen(), self.kernel, self.kernel];
        [x, draw.leaf(&weight, (fan as f64).powf(-0.5))]
    }

    fn call(self, [x, weight]: &[Tensor; 2]) -> Result<Tensor> {
        let [stride, padding] = [[self.stride as isize], [(self.kernel / 2) as isize]];
        conv2d(x, weight, None, &stride, Padding::Each(&padding), &[1], self.groups as isize)
    }

    /// Each element of the output is the sum over the window around it.
    fn check(self, operands: &[Tensor; 2], y: &Tensor) {
        let [x, weight] = &operands.each_ref().map(|operand| numbers(operand));
        let Self { channels, outputs, side, kernel, .. } = self;
        let out = side.div_ceil(self.stride);
        assert_sums(y, |place| {
            let (column, row) = (place % out, place / out % out);
            let (output, image) = (place / (out * out) % outputs, place / (out * out * outputs));
            let first = output / (outputs / self.groups) * self.seen();
            (0..self.seen() * kernel * kernel).filter_map(move |tap| {
                let (channel, i, j) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                let inside = |at: usize| at.checked_sub(kernel / 2).filter(|&at| at < side);
                let (i, j) = (inside(row * self.stride + i)?, inside(column * self.stride + j)?);
                let of_weight = weight[output * self.seen() * kernel * kernel + tap];
                Some(x[((image * channels + first + channel) * side + i) * side + j] * of_weight)
            })
        });
    }
}

#[divan::bench(args = LAYERS)]
fn conv2d_forward(bencher: Bencher<'_, '_>, layer: Layer) {
    let operands = layer.operands().map(|x| x.detach());
    layer.check(&operands, &layer.call(&operands).expect("a convolution"));
    time(bencher, || layer.call(&operands));
}

#[divan::bench(args = LAYERS)]
fn conv2d_backward(bencher: Bencher<'_, '_>, layer: Layer) {
    let operands = layer.operands();
    let y = layer.call(&operands).expect("a convolution");
    let cotangent = Draw::new().normal(&y.shape(), 1.0);
    let keep = Options { retain_graph: true, ..Options::default() };
    // The output is linear in each operand, so either gradient along its operand is what arrived along the output.
    for (gradient, operand) in gradients(&y, &operands, Some(&cotangent), keep).iter().zip(&operands) {
        assert_same_inner([(&cotangent, &y), (gradient, operand)]);
    }
    time_pass(bencher, &y, &operands, &cotangent);
}

/// Eight heads of 64.
#[divan::bench(args = [128])]
fn attention_and_backward(bencher: Bencher<'_, '_>, sequence: usize) {
    const HEADS: usize = 8;
    const INNER: usize = 64;
    let mut draw = Draw::new();
    let shape = [1, HEADS, sequence, INNER];
    let inputs = [(); 3].map(|()| draw.leaf(&shape, 1.0));
    let cotangent = draw.normal(&shape, 1.0);
    let scale = (INNER as f64).powf(-0.5);
    let [q, k, v] = &inputs;
    let call = || attention_of(q, k, v, false, scale);

    let y = call().expect("an output");
    let [qs, ks, vs] = inputs.each_ref().map(|x| numbers(x));
    // Outputs are means of a few numbers of size one.
    assert_within(8.0 * EPSILON, &y, |place| {
        let (query, column) = (place / INNER, place % INNER);
        let first = query / sequence * sequence;
        let (mut total, mut sum) = (0.0, 0.0);
        for key in first..first + sequence {
            let score: f64 = (0..INNER).map(|i| qs[query * INNER + i] * ks[key * INNER + i]).sum();
            let weight = (scale * score).exp();
            total += weight;
            sum += weight * vs[key * INNER + column];
        }
        sum / total
    });
    // The output is linear in the values, and stays where queries grow as much as keys shrink.
    let [dq, dk, dv] = &gradients(&y, &inputs, Some(&cotangent), Options::default())[..] else {
        panic!("one gradient for each input")
    };
    assert_same_inner([(&cotangent, &y), (dv, v)]);
    assert_same_inner([(dq, q), (dk, k)]);
    time_with_gradients(bencher, &inputs, Some(&cotangent), call);
}
