//! Layer 3a: every op once, forward and derivative side by side.

pub mod activation;
pub mod arithmetic;
pub mod comparison;
pub mod copying;
pub mod creation;
pub mod exponential;
pub mod gather;
pub mod indexing;
pub mod join;
pub mod numbers;
pub mod part;
mod places;
pub mod random;
pub mod rearrange;
pub mod registry;
pub mod rounding;
pub mod scatter;
pub mod selection;
pub mod sorting;
pub mod special;
pub mod special_cases;
pub mod split;
mod term;
pub mod trigonometric;
pub mod view;
pub mod write;

pub use crate::graph::vector_space::{add, sum_to, to_dtype};
pub use activation::*;
pub use arithmetic::*;
pub use comparison::*;
pub use copying::{clone, contiguous, to_copy};
pub use exponential::*;
pub use gather::{
    gather, index_add, index_copy, index_fill, index_select, one_hot, put, take, take_along_dim,
};
pub use indexing::{Index, Value, getitem, getitem_int, index_put, index_put_, setitem};
pub use join::{cat, column_stack, dstack, hstack, stack, vstack};
pub use numbers::*;
pub use part::{
    as_strided, diag, diag_embed, diagonal, diagonal_scatter, narrow, select, select_scatter, slice,
    slice_scatter, unbind, unfold,
};
pub use rearrange::*;
pub use rounding::*;
pub use scatter::{
    Reduce, scatter, scatter_add, scatter_add_, scatter_combined, scatter_reduce, scatter_reduce_, scatter_value,
};
pub use selection::{
    masked_fill, masked_fill_, masked_scatter, masked_scatter_, masked_select, nonzero, nonzero_tuple, where_,
};
pub use sorting::{
    Unique, argsort, bincount, bucketize, kthvalue, msort, searchsorted, sort, topk, unique, unique_consecutive,
};
pub use special::*;
pub use split::{Cuts, chunk, dsplit, hsplit, split, split_with_sizes, tensor_split, vsplit};
pub use trigonometric::*;
pub use view::{
    adjoint, alias, atleast_1d, atleast_2d, atleast_3d, broadcast_tensors, expand, expand_as, flatten,
    matrix_transpose, movedim, numpy_t, permute, ravel, reshape, reshape_as, squeeze, squeeze_, t, t_,
    transpose, transpose_, unflatten, unsqueeze, unsqueeze_, view, view_as,
};
pub use write::{copy_, fill, fill_, zero_};
