//! Layer 3a: every op once, forward and derivative side by side.

pub mod activation;
pub mod arithmetic;
pub mod comparison;
pub mod copying;
pub mod creation;
pub mod exponential;
pub mod numbers;
pub mod random;
pub mod registry;
pub mod rounding;
pub mod special;
pub mod special_cases;
mod term;
pub mod trigonometric;

pub use crate::graph::vector_space::{add, expand, sum_to, to_dtype};
pub use activation::*;
pub use arithmetic::*;
pub use comparison::*;
pub use copying::{clone, contiguous, to_copy};
pub use exponential::*;
pub use numbers::*;
pub use rounding::*;
pub use special::*;
pub use trigonometric::*;
