//! `arcgrad` records tensor operations as they run, in a graph of reference-counted nodes, and differentiates it.

pub mod array;
pub mod engine;
pub mod error;
pub mod gradcheck;
pub mod graph;
pub mod ops;
pub mod watch;

pub use array::{DType, Scalar};
pub use error::{Error, Result};
pub use graph::Tensor;
pub use graph::mode::{enable_grad, inference_mode, no_grad};
