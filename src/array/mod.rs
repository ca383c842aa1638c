//! Layer 1, numbers: dtypes, shapes, shared storage, views, kernels, random streams. No gradients here.

pub(crate) mod counted;
pub mod dtype;
pub(crate) mod emplace;
pub(crate) mod fork;
pub mod kernels;
pub mod layout;
pub mod memory;
pub mod pool;
pub mod random;
pub(crate) mod reserve;
pub mod sharing;
pub mod storage;
pub mod strided;
pub mod writers;

pub use dtype::{Bool, Category, DType, Element, Scalar};
pub use layout::{Dims, Layout, Strides};
pub use storage::Storage;
pub use strided::Array;
