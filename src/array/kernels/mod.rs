//! Loops over memory. A kernel sees slices and strides, never a tensor.

pub mod product;
pub mod real;
pub mod value;
