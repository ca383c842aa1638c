//! Layer 3a: every op once, forward and derivative side by side.

pub mod arithmetic;
pub mod registry;
mod term;

pub use crate::graph::vector_space::add;
pub use arithmetic::*;
