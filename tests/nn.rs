//! Ops of neural networks against plain loops, over strides, padding, dilation and groups.

use arcgrad::array::pool;
use arcgrad::ops::nn::{self, Padding};
use arcgrad::{Tensor, enable_grad, engine};
use proptest::prelude::*;

/// Whole numbers of small size: sums of them are exact in any order.
fn whole(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7 + seed * 13 + i * i / 3) % 11) as f32 - 5.0).collect()
}

#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    groups: usize,
    channels: usize,
    outputs: usize,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [isize; 2],
    padding: [isize; 2],
    dilation: [isize; 2],
}

impl Case {
    fn output(&self) -> [usize; 2] {
        [0, 1].map(|i| {
            let reach = self.dilation[i] * (self.kernel[i] as isize - 1) + 1;
            ((self.input[i] as isize + 2 * self.padding[i] - reach) / self.stride[i] + 1) as usize
        })
    }

    fn fits(&self) -> bool {
        (0..2).all(|i| {
            self.input[i] as isize + 2 * self.padding[i] > self.dilation[i] * (self.kernel[i] as isize - 1)
        })
    }

    /// Calls with (input index, weight index, output index) of each product.
    fn each_product(&self, mut body: impl FnMut(usize, usize, usize)) {
        let [oh, ow] = self.output();
        let (c, o) = (self.channels / self.groups, self.outputs / self.groups);
        for n in 0..self.batch {
            for out in 0..self.outputs {
                for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    for inner in 0..c {
                        for (ky, kx) in
                            (0..self.kernel[0]).flat_map(|y| (0..self.kernel[1]).map(move |x| (y, x)))
                        {
                            let at = |i: usize, p: usize, k: usize| {
                                p as isize * self.stride[i] + k as isize * self.dilation[i] - self.padding[i]
                            };
                            let (iy, ix) = (at(0, y, ky), at(1, x, kx));
                            if iy < 0
                                || ix < 0
                                || iy >= self.input[0] as isize
                                || ix >= self.input[1] as isize
                            {
                                continue;
                            }
                            let channel = n * self.channels + out / o * c + inner;
                            body(
                                (channel * self.input[0] + iy as usize) * self.input[1] + ix as usize,
                                ((out * c + inner) * self.kernel[0] + ky) * self.kernel[1] + kx,
                                ((n * self.outputs + out) * oh + y) * ow + x,
                            );
                        }
                    }
                }
            }
        }
    }

    /// Output, input's gradient and weight's gradient by the crate.
    fn run(&self, x: &[f32], w: &[f32], b: &[f32], g: &[f32]) -> [Vec<f32>; 4] {
        let tensor =
            |v: &[f32], shape: &[usize]| Tensor::from_slice(v, shape).unwrap().requires_grad_(true).unwrap();
        let x = tensor(x, &[self.batch, self.channels, self.input[0], self.input[1]]);
        let w = tensor(w, &[self.outputs, self.channels / self.groups, self.kernel[0], self.kernel[1]]);
        let b = tensor(b, &[self.outputs]);
        let _guard = enable_grad();
        let y = nn::conv2d(
            &x,
            &w,
            Some(&b),
            &self.stride,
            Padding::Each(&self.padding),
            &self.dilation,
            self.groups as isize,
        )
        .unwrap();
        let [oh, ow] = self.output();
        let g = Tensor::from_slice(g, &[self.batch, self.outputs, oh, ow]).unwrap();
        let root = engine::root(&y, 0, Some(&g)).unwrap();
        let inputs = [x.clone(), w.clone(), b.clone()];
        let grads = engine::grad(vec![root], &inputs, engine::Options::default()).unwrap();
        let mut grads = grads.into_iter().map(|g| g.unwrap().to_vec::<f32>().unwrap());
        [y.to_vec().unwrap(), grads.next().unwrap(), grads.next().unwrap(), grads.next().unwrap()]
    }

    fn operands(&self) -> [Vec<f32>; 4] {
        let [oh, ow] = self.output();
        [
            whole(self.batch * self.channels * self.input[0] * self.input[1], 1),
            self.weights(),
            whole(self.outputs, 3),
            whole(self.batch * self.outputs * oh * ow, 4),
        ]
    }

    /// None of them zero: where one is, minimal filtering leaves a convolution to others.
    fn weights(&self) -> Vec<f32> {
        let count = self.outputs * self.channels / self.groups * self.kernel[0] * self.kernel[1];
        whole(count, 2).into_iter().map(|w| if w == 0.0 { 6.0 } else { w }).collect()
    }

    fn check(&self) {
        let [x, w, b, g] = self.operands();
        let [oh, ow] = self.output();
        let mut y: Vec<f32> = (0..g.len()).map(|i| b[i / (oh * ow) % self.outputs]).collect();
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; b.len()]);
        self.each_product(|i, k, o| {
            y[o] += x[i] * w[k];
            dx[i] += g[o] * w[k];
            dw[k] += g[o] * x[i];
        });
        for (i, g) in g.iter().enumerate() {
            db[i / (oh * ow) % self.outputs] += g;
        }
        let found = self.run(&x, &w, &b, &g);
        assert_eq!(found[0], y, "{self:?}");
        assert_eq!(found[1], dx, "{self:?}");
        assert_eq!(found[2], dw, "{self:?}");
        assert_eq!(found[3], db, "{self:?}");
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let pair = |low: usize, high: usize| [low..=high, low..=high];
    (1..4usize, 1..4usize, 1..4usize, 1..4usize, pair(1, 9), pair(1, 4), pair(1, 3), pair(0, 2), pair(1, 2))
        .prop_map(|(batch, groups, c, o, input, kernel, stride, padding, dilation)| Case {
            batch,
            groups,
            channels: groups * c,
            outputs: groups * o,
            input,
            kernel,
            stride: stride.map(|n| n as isize),
            padding: padding.map(|n| n as isize),
            dilation: dilation.map(|n| n as isize),
        })
        .prop_filter("the kernel fits", Case::fits)
}

/// A channel a group and a square window that steps by one: lines shorter and longer than a register, of images lower and
/// narrower than the window.
fn depthwise_cases() -> impl Strategy<Value = Case> {
    let pair = |low: isize, high: isize| [low..=high, low..=high];
    let input = [1..=14usize, 1..=21usize];
    (1..4usize, 1..4usize, 1..=2usize, input, prop_oneof![Just(3), Just(5)], pair(0, 6), pair(1, 3)).prop_map(
        |(batch, groups, outputs, input, side, padding, dilation)| Case {
            batch,
            groups,
            channels: groups,
            outputs: groups * outputs,
            input,
            kernel: [side; 2],
            stride: [1; 2],
            padding,
            dilation,
        },
    )
}

/// Many channels and a window of 3 by 3 that steps by one: images of every parity, lower and narrower than what a register
/// takes of them, and cut in both directions.
fn filtered_cases() -> impl Strategy<Value = Case> {
    let input =
        prop_oneof![[1..=19usize, 1..=40usize], [1..=3usize, 60..=150usize], [60..=150usize, 1..=3usize]];
    (1..12usize, 1..3usize, 20..44usize, 20..44usize, input, [0..=3isize, 0..=3isize]).prop_map(
        |(batch, groups, channels, outputs, input, padding)| Case {
            batch: batch.min(1 + 3000 / (input[0] * input[1])),
            groups,
            channels: groups * channels,
            outputs: groups * outputs,
            input,
            kernel: [3; 2],
            stride: [1; 2],
            padding,
            dilation: [1; 2],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn minimal_filtering_and_its_gradients_are_the_plain_sums(
        case in filtered_cases().prop_filter("the kernel fits", Case::fits)
    ) {
        case.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn convolution_and_its_gradients_are_the_plain_sums(case in cases()) {
        case.check();
    }

    #[test]
    fn depthwise_convolution_and_its_gradients_are_the_plain_sums(
        case in depthwise_cases().prop_filter("the kernel fits", Case::fits)
    ) {
        case.check();
    }
}

const LARGE: [Case; 9] = {
    let base = Case {
        batch: 3,
        groups: 1,
        channels: 24,
        outputs: 20,
        input: [19, 23],
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
    };
    [
        Case { ..base },
        Case { stride: [2, 2], ..base },
        Case { kernel: [1, 1], padding: [0, 0], ..base },
        Case { groups: 4, input: [5, 6], batch: 20, ..base },
        Case { groups: 24, outputs: 48, ..base },
        // So many images are not cut finely: each has more positions than a weight's gradient sums in one chain.
        Case { batch: 16, channels: 8, outputs: 5, ..base },
        // Minimal filtering, of images that are cut in both directions too.
        Case { channels: 32, outputs: 40, ..base },
        Case { channels: 180, outputs: 50, input: [6, 77], batch: 2, ..base },
        Case { channels: 1, outputs: 2, input: [90, 110], kernel: [5, 5], padding: [2, 2], ..base },
    ]
};

#[test]
fn convolutions_of_many_tiles_are_the_plain_sums() {
    for case in &LARGE {
        case.check();
    }
}

/// Every place of the one must be that of the other: a NaN is equal to itself here.
fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    let bits =
        |v: &[f32]| v.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect();
    let (found, expected): (Vec<u32>, Vec<u32>) = (bits(found), bits(expected));
    assert!(found == expected, "{what}");
}

/// Sets places of some operands (0: the input, 1: the weights, 3: the output's gradient), all else being ones, to infinity, one
/// at a time: that must reach only the sums with its products.
fn check_infinities(case: &Case, operands: &[usize], places: impl Fn(usize) -> Vec<usize>) {
    let ones = case.operands().map(|v| vec![1.0; v.len()]);
    for &operand in operands {
        for place in places(ones[operand].len()) {
            let [mut x, mut w, b, mut g] = ones.clone();
            [&mut x, &mut w, &mut vec![], &mut g][operand][place] = f32::INFINITY;
            let (mut y, mut dx, mut dw) = (vec![1.0; g.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            case.each_product(|i, k, o| {
                y[o] += x[i] * w[k];
                dx[i] += g[o] * w[k];
                dw[k] += g[o] * x[i];
            });
            let found = case.run(&x, &w, &b, &g);
            for (found, expected) in found.iter().zip([&y, &dx, &dw]) {
                assert_same(found, expected, &format!("{case:?}, operand {operand}, place {place}"));
            }
        }
    }
}

/// What reads beside an image, or in another, must not see it: the sums are over products that are there.
#[test]
fn what_is_not_finite_reaches_in_a_depthwise_convolution_only_what_reads_it() {
    for input in [[1, 1], [2, 7], [6, 8], [7, 17], [14, 14]] {
        let case = Case {
            batch: 2,
            groups: 3,
            channels: 3,
            outputs: 3,
            input,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
        };
        check_infinities(&case, &[0, 1, 3], |length| (0..length).collect());
    }
}

/// Tiles of outputs share what they read: an infinity must not come to those that do not read it, nor become NaN
/// where it comes. (It does come, as NaN, to
/// the sums in which it meets the zeros of padding, as in PyTorch.)
#[test]
fn what_is_not_finite_reaches_in_minimal_filtering_only_what_reads_it() {
    let base = Case { channels: 32, outputs: 24, ..LARGE[0] };
    for (case, operands) in [
        (Case { input: [7, 9], batch: 8, ..base }, &[0][..]),
        (Case { input: [4, 30], batch: 10, padding: [0, 0], ..base }, &[0, 3]),
        (Case { input: [12, 9], batch: 7, padding: [0, 0], ..base }, &[0, 3]),
    ] {
        check_infinities(&case, operands, |length| (0..12).map(|i| i * (length - 1) / 11).collect());
    }
}

/// A mask makes weights zero: what they keep from an output must not come to it by rounding either.
#[test]
fn a_weight_of_zero_keeps_what_it_meets_from_an_output() {
    let case = &Case { channels: 32, outputs: 24, ..LARGE[0] };
    let [mut x, w, b, g] = case.operands().map(|v| v.iter().map(|v| v * 0.37 + 0.011).collect::<Vec<f32>>());
    let w: Vec<f32> = w.iter().enumerate().map(|(i, &w)| if i % 9 < 6 { w } else { 0.0 }).collect();
    let [before, dx, ..] = case.run(&x, &w, &b, &g);
    let [height, width] = case.input;
    // A line far larger than the others, which only the masked weights of the lines above it read.
    let line = |i: usize| i / width % height;
    for (i, x) in x.iter_mut().enumerate().filter(|(i, _)| line(*i) == 9) {
        *x = 1e8 + i as f32;
    }
    let [after, ..] = case.run(&x, &w, &b, &g);
    for i in (0..before.len()).filter(|&i| line(i) < 9) {
        assert_eq!(before[i].to_bits(), after[i].to_bits(), "output {i}");
    }
    let g: Vec<f32> = g.iter().enumerate().map(|(i, &g)| if line(i) == 8 { g } else { 0.0 }).collect();
    let [_, masked, ..] = case.run(&x, &w, &b, &g);
    assert!((0..masked.len()).filter(|&i| line(i) == 9).all(|i| masked[i] == 0.0));
    assert!(masked != dx);
}

/// Halves of subnormal weights would lose digits.
#[test]
fn minimal_filtering_takes_no_weights_so_small_that_it_would_lose_their_digits() {
    let case = &Case { channels: 32, outputs: 24, ..LARGE[0] };
    let [x, w, b, g] = case.operands();
    let powers = |v: &[f32], n| v.iter().map(|v| v * 2f32.powi(n)).collect::<Vec<f32>>();
    let zeros = vec![0.0; b.len()];
    let [y, dx, ..] = case.run(&x, &w, &zeros, &g);
    for n in [-90, -98, -104, -122, -128, -148] {
        let [small_y, small_dx, ..] =
            case.run(&powers(&x, 60), &powers(&powers(&w, n / 2), n / 2), &zeros, &powers(&g, 60));
        let back = |v: &[f32]| powers(&powers(v, (-60 - n) / 2), (-60 - n) / 2);
        assert!(back(&small_y) == y && back(&small_dx) == dx, "2^{n}");
    }
}

#[test]
fn bits_of_a_convolution_do_not_depend_on_threads() {
    for case in &LARGE {
        let [x, w, b, g] = case.operands().map(|v| v.iter().map(|v| v * 0.37 + 0.011).collect::<Vec<f32>>());
        let bits = |threads| {
            pool::set_num_threads(threads);
            case.run(&x, &w, &b, &g).map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let alone = bits(1);
        for threads in [2, 3, 4, 8] {
            assert!(bits(threads) == alone, "{case:?} on {threads} threads");
        }
    }
}
