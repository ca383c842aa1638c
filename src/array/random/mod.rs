//! PyTorch's random streams on the CPU: one mt19937 [`Generator`], and fills of slices that draw from it bit for bit.
//!
//! Every fill is a method of [`Generator`] and writes a slice in memory order. The numbers are those of PyTorch 2.13 on
//! x86-64 Linux, whose distributions run one after another on the calling thread; a fill therefore never depends on the number
//! of threads.
//!
//! # Note [Fused scaling]:
//!
//! Where PyTorch's source says `sample * scale + shift`, its compiler fuses the two operations into one rounding, so the fills
//! do the same through `mul_add`. With a scale of one or a shift of zero the two agree, which is why a test of the standard
//! normal alone would not notice.
//!
//! # Note [Transcendental functions]:
//!
//! `f64` samples go through the C library's `log`, `log1p`, `sin`, `cos`, `tan` and `exp`, as PyTorch's do, so they equal
//! PyTorch's exactly where both link glibc, and to the last place elsewhere. Runs of normal `f32` values use polynomials
//! and are equal everywhere.

mod continuous;
mod discrete;
mod element;
mod error;
mod fused;
mod generator;
mod mersenne;
mod multinomial;
mod normal;
mod permutation;

pub use element::{Element, Float, Number};
pub use error::{RandomError, StateError};
pub use generator::{DEFAULT_SEED, Generator, STATE_BYTES};

/// Samples transformed before more are drawn, so that they are still in the first-level cache: a whole number of blocks of 16.
const STRIP: usize = 1024;
