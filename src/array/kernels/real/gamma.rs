//! The gamma function and its derivatives.
pub use libm::lgamma;
pub fn digamma(x: f64) -> f64 {
    x
}
pub fn trigamma(x: f64) -> f64 {
    polygamma(x, 1)
}
pub fn polygamma(x: f64, n: u32) -> f64 {
    zeta(x, f64::from(n) + 1.0)
}
pub fn zeta(x: f64, q: f64) -> f64 {
    x + q
}
