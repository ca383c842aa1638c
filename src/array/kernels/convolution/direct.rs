//! Convolution without a product of matrices, for one input channel and at most two output channels a group.
//!
//! Sums run along the last axis, a tap at a time, in the order of taps: one line of the input times one weight.

use super::scratch::Shared;
use super::{Geometry, Number};
use crate::array::pool;

/// The lanes over which a sum of products is split, and folded at its end in one order.
const LANES: usize = 16;

/// Calls `body(tap, y_start, x_start, count)` for each tap and each line of the output along the last axis.
#[inline(always)]
fn each_line(g: &Geometry, mut body: impl FnMut(usize, usize, usize, usize)) {
    let [_, height, width] = g.output;
    for d_out in 0..g.output[0] {
        for h_out in 0..height {
            for kd in 0..g.kernel[0] {
                let Some(d) = g.read(0, d_out, kd) else { continue };
                for kh in 0..g.kernel[1] {
                    let Some(h) = g.read(1, h_out, kh) else { continue };
                    for kw in 0..g.kernel[2] {
                        let inside = g.inside(2, kw);
                        if inside.is_empty() {
                            continue;
                        }
                        let tap = (kd * g.kernel[1] + kh) * g.kernel[2] + kw;
                        let x = (d * g.input[1] + h) * g.input[2]
                            + (inside.start * g.stride[2] + kw * g.dilation[2])
                                .wrapping_add_signed(-g.padding[2]);
                        body(tap, (d_out * height + h_out) * width + inside.start, x, inside.len());
                    }
                }
            }
        }
    }
}

pub fn forward<T: Number>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    let (positions, plane, taps, outputs) = (g.positions(), g.plane(), g.taps(), g.outputs_per_group());
    let stride = g.stride[2];
    let all = Shared(y.as_mut_ptr());
    pool::for_each(g.batch * g.outputs, &|task| {
        let (image, o) = (task / g.outputs, task % g.outputs);
        // SAFETY: this channel of this image is this task's alone.
        let y = unsafe { all.slice(task * positions, positions) };
        let x = &x[(image * g.channels + o / outputs) * plane..][..plane];
        let w = &w[o * taps..][..taps];
        y.fill(bias.map_or(T::ZERO, |bias| bias[o]));
        each_line(g, |tap, at, from, count| {
            let weight = w[tap];
            let y = &mut y[at..at + count];
            if stride == 1 {
                for (y, &x) in y.iter_mut().zip(&x[from..from + count]) {
                    *y += weight * x;
                }
            } else {
                for (y, &x) in y.iter_mut().zip(x[from..].iter().step_by(stride)) {
                    *y += weight * x;
                }
            }
        });
    });
}

pub fn input_grad<T: Number>(geo: &Geometry, g: &[T], w: &[T], dx: &mut [T]) {
    let (positions, plane, taps, outputs) =
        (geo.positions(), geo.plane(), geo.taps(), geo.outputs_per_group());
    let stride = geo.stride[2];
    let all = Shared(dx.as_mut_ptr());
    pool::for_each(geo.batch * geo.channels, &|task| {
        let (image, c) = (task / geo.channels, task % geo.channels);
        // SAFETY: this channel of this image is this task's alone.
        let dx = unsafe { all.slice(task * plane, plane) };
        dx.fill(T::ZERO);
        for o in c * outputs..(c + 1) * outputs {
            let g = &g[(image * geo.outputs + o) * positions..][..positions];
            let w = &w[o * taps..][..taps];
            each_line(geo, |tap, at, from, count| {
                let weight = w[tap];
                for (x, &g) in dx[from..].iter_mut().step_by(stride).zip(&g[at..at + count]) {
                    *x += weight * g;
                }
            });
        }
    });
}

pub fn weight_grad<T: Number>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    let (positions, plane, taps, outputs) =
        (geo.positions(), geo.plane(), geo.taps(), geo.outputs_per_group());
    let stride = geo.stride[2];
    let all = Shared(dw.as_mut_ptr());
    pool::for_each(geo.outputs, &|o| {
        // SAFETY: the weights of this output channel are this task's alone.
        let dw = unsafe { all.slice(o * taps, taps) };
        let mut sums = vec![[T::ZERO; LANES]; taps];
        for image in 0..geo.batch {
            let g = &g[(image * geo.outputs + o) * positions..][..positions];
            let x = &x[(image * geo.channels + o / outputs) * plane..][..plane];
            each_line(geo, |tap, at, from, count| {
                let (g, x, sum) = (&g[at..at + count], &x[from..], &mut sums[tap]);
                if stride == 1 {
                    let (whole, rest) = g.as_chunks::<LANES>();
                    let (pairs, last) = x[..count].as_chunks::<LANES>();
                    for (g, x) in whole.iter().zip(pairs) {
                        for lane in 0..LANES {
                            sum[lane] += g[lane] * x[lane];
                        }
                    }
                    for (lane, (&g, &x)) in rest.iter().zip(last).enumerate() {
                        sum[lane] += g * x;
                    }
                } else {
                    for (i, (&g, &x)) in g.iter().zip(x.iter().step_by(stride)).enumerate() {
                        sum[i % LANES] += g * x;
                    }
                }
            });
        }
        for (dw, sum) in dw.iter_mut().zip(&sums) {
            *dw = sum.iter().fold(T::ZERO, |total, &part| total + part);
        }
    });
}
