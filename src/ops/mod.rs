//! Layer 3a: every op once, forward and derivative side by side.

pub mod arithmetic;
pub mod copy;
pub mod indexing;
pub mod join;
pub mod part;
mod places;
pub mod registry;
pub mod selection;
pub mod split;
mod term;
pub mod view;

pub use crate::graph::vector_space::add;
pub use arithmetic::*;
pub use copy::{clone, contiguous, copy_, fill, fill_, zero_};
pub use indexing::{Index, Value, getitem, getitem_int, index_put, index_put_, setitem};
pub use join::{cat, column_stack, dstack, hstack, stack, vstack};
pub use part::{
    as_strided, diag, diag_embed, diagonal, diagonal_scatter, narrow, select, select_scatter, slice, slice_scatter, unbind, unfold,
};
pub use selection::{
    masked_fill, masked_fill_, masked_scatter, masked_scatter_, masked_select, nonzero, nonzero_tuple, where_,
};
pub use split::{Cuts, chunk, dsplit, hsplit, split, split_with_sizes, tensor_split, vsplit};
pub use view::{
    adjoint, alias, atleast_1d, atleast_2d, atleast_3d, broadcast_tensors, expand, expand_as, flatten, matrix_transpose,
    movedim, numpy_t, permute, ravel, reshape, reshape_as, squeeze, squeeze_, t, t_, transpose, transpose_, unflatten,
    unsqueeze, unsqueeze_, view, view_as,
};
