//! The input's gradient without a product of matrices, for one input channel and at most two output channels a group, where
//! windows step over positions.
//!
//! Sums run along the last axis, a tap at a time, in the order of taps: one line of the gradient times one weight.

use super::{Geometry, Number};
use crate::array::kernels::scratch::Shared;
use crate::array::pool;

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

pub fn input_grad<T: Number>(geo: &Geometry, g: &[T], w: &[T], dx: &mut [T]) {
    let (positions, plane, taps, outputs) =
        (geo.positions(), geo.plane(), geo.taps(), geo.outputs_per_group());
    let stride = geo.stride[2];
    let all = Shared(dx.as_mut_ptr());
    pool::for_each_if(geo.is_large(), geo.batch * geo.channels, &|task| {
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
