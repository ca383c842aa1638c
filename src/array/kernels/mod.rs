//! Loops over memory. A kernel sees slices and strides, never a tensor.

pub mod attention;
pub mod axis_map;
pub mod class_loss;
pub mod combine;
pub mod convolution;
pub mod copy;
pub mod fill;
pub mod formula;
pub mod gather;
pub mod index;
pub mod integer;
pub mod isa;
pub mod leveled;
pub mod normalization;
pub mod optimizer;
pub mod order;
pub mod pooling;
pub mod product;
pub mod real;
pub mod reduce;
pub mod scan;
mod scratch;
pub mod select;
pub mod softmax;
pub mod sort;
pub mod tile;
pub mod value;
