//! Bessel functions.
pub use libm::{j0 as bessel_j0, j1 as bessel_j1, y0 as bessel_y0, y1 as bessel_y1};
pub fn i0(x: f64) -> f64 {
    x
}
pub fn i0e(x: f64) -> f64 {
    x
}
pub fn i1(x: f64) -> f64 {
    x
}
pub fn i1e(x: f64) -> f64 {
    x
}
