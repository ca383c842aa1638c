//! Products of vectors, matrices and batches of them.
//!
//! Each block here is closed under differentiation: the derivatives of a product are products of the same kind, with
//! factors read transposed where they lie, so nothing is ever copied into another order.

mod added;
mod arrays;
mod batch;
mod bilinear;
mod broadcast;
mod matrix;
mod vector;

pub use added::{addbmm, addmm, addmv, addr, baddbmm, linear};
pub use batch::bmm;
pub use broadcast::{inner, matmul, outer};
pub use matrix::mm;
pub use vector::{dot, mv, vdot};

use crate::gradcheck::Check;

/// What is checked here.
pub const CHECKS: &[&[Check]] =
    &[added::CHECKS, batch::CHECKS, broadcast::CHECKS, matrix::CHECKS, vector::CHECKS];
