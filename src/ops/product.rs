//! Products of vectors, matrices and batches of them.
//!
//! Each block here is closed under differentiation: the derivatives of a product are products of the same kind, with
//! factors read transposed where they lie, so nothing is ever copied into another order.

pub(super) mod added;
mod arrays;
pub(super) mod batch;
mod bilinear;
pub(super) mod broadcast;
pub(super) mod chain;
pub(super) mod contraction;
pub(super) mod cross;
pub(super) mod distance;
pub(super) mod matrix;
pub(super) mod vector;

pub use added::{addbmm, addmm, addmv, addr, baddbmm, linear};
pub use batch::bmm;
pub use broadcast::{inner, matmul, outer};
pub use chain::{chain_matmul, matrix_power, multi_dot};
pub use contraction::{bilinear, kron, tensordot, tensordot_of, vecdot};
pub use cross::{cross, linalg_cross};
pub use distance::cdist;
pub use matrix::mm;
pub use vector::{dot, mv, vdot};
