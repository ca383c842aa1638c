//! Layer 1, numbers: dtypes, shapes, shared storage, views, kernels, random streams. No gradients here.

pub mod kernels;
pub mod memory;
pub mod pool;
pub mod random;
