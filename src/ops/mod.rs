//! Layer 3a: every op once, forward and derivative side by side.

pub mod activation;
pub mod arithmetic;
pub mod comparison;
pub mod copying;
pub mod creation;
pub mod einsum;
pub mod exponential;
pub mod numbers;
pub mod product;
pub mod random;
pub mod registry;
pub mod rounding;
pub mod special;
pub mod special_cases;
mod term;
pub mod trigonometric;
pub mod write;
pub mod join;
pub mod part;
pub mod split;
pub mod view;

pub use crate::graph::vector_space::{add, sum_to, to_dtype};
pub use activation::*;
pub use arithmetic::*;
pub use comparison::*;
pub use copying::{clone, contiguous, to_copy};
pub use einsum::{Subscript, einsum, einsum_of};
pub use exponential::*;
pub use numbers::*;
pub use product::*;
pub use rounding::*;
pub use special::*;
pub use trigonometric::*;
pub use write::{copy_, fill, fill_, zero_};
pub use join::{cat, column_stack, dstack, hstack, stack, vstack};
pub use part::{
    diag, diag_embed, diagonal, diagonal_scatter, narrow, select, select_scatter, slice, slice_scatter, unbind, unfold,
};
pub use split::{Cuts, chunk, dsplit, hsplit, split, split_with_sizes, tensor_split, vsplit};
pub use view::{
    adjoint, alias, atleast_1d, atleast_2d, atleast_3d, broadcast_tensors, expand, expand_as, flatten, matrix_transpose,
    movedim, numpy_t, permute, ravel, reshape, reshape_as, squeeze, squeeze_, t, t_, transpose, transpose_, unflatten,
    unsqueeze, unsqueeze_, view, view_as,
};
