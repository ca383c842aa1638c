//! Layer 3a: every op once, forward and derivative side by side.

pub mod activation;
pub mod arithmetic;
pub mod closeness;
pub mod comparison;
pub mod copying;
pub mod creation;
pub mod exponential;
pub mod indexing;
pub mod join;
pub mod nn;
pub mod numbers;
mod operators;
pub mod part;
mod places;
pub mod product;
pub mod random;
pub mod reduction;
pub mod registry;
pub mod rounding;
pub mod selection;
pub mod special;
pub mod special_cases;
pub mod split;
mod term;
pub mod trigonometric;
pub mod view;
pub mod write;
pub mod writing;

pub use crate::graph::vector_space::{add, sum_to, to_dtype};
pub use activation::*;
pub use arithmetic::*;
pub use closeness::*;
pub use comparison::*;
pub use copying::*;
pub use exponential::*;
pub use indexing::*;
pub use join::*;
pub use nn::*;
pub use numbers::*;
pub use part::*;
pub use product::*;
pub use reduction::*;
pub use rounding::*;
pub use selection::*;
pub use special::*;
pub use split::{Cuts, chunk, dsplit, hsplit, split, split_with_sizes, tensor_split, vsplit};
pub use trigonometric::*;
pub use view::{
    adjoint, alias, atleast_1d, atleast_2d, atleast_3d, broadcast_tensors, expand, expand_as, flatten,
    matrix_transpose, movedim, numpy_t, permute, ravel, reshape, reshape_as, squeeze, squeeze_, t, t_,
    transpose, transpose_, unflatten, unsqueeze, unsqueeze_, view, view_as,
};
pub use write::{copy_, fill, fill_, zero_};
pub use split::*;
pub use trigonometric::*;
pub use view::*;
pub use writing::*;
