//! Exponentials.
pub mod f32 {
    #[inline(always)]
    pub fn exp(x: f32) -> f32 {
        libm::expf(x)
    }
    #[inline(always)]
    pub fn exp2(x: f32) -> f32 {
        libm::exp2f(x)
    }
    #[inline(always)]
    pub fn expm1(x: f32) -> f32 {
        libm::expm1f(x)
    }
    #[inline(always)]
    pub fn sigmoid(x: f32) -> f32 {
        1.0 / (1.0 + exp(-x))
    }
}
pub mod f64 {
    #[inline(always)]
    pub fn exp(x: f64) -> f64 {
        libm::exp(x)
    }
    #[inline(always)]
    pub fn exp2(x: f64) -> f64 {
        libm::exp2(x)
    }
    #[inline(always)]
    pub fn expm1(x: f64) -> f64 {
        libm::expm1(x)
    }
    #[inline(always)]
    pub fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + exp(-x))
    }
}
