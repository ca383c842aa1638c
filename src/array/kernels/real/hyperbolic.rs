//! Hyperbolic functions.
pub mod f32 {
    #[inline(always)]
    pub fn sinh(x: f32) -> f32 {
        libm::sinhf(x)
    }
    #[inline(always)]
    pub fn cosh(x: f32) -> f32 {
        libm::coshf(x)
    }
    #[inline(always)]
    pub fn tanh(x: f32) -> f32 {
        libm::tanhf(x)
    }
    #[inline(always)]
    pub fn asinh(x: f32) -> f32 {
        libm::asinhf(x)
    }
    #[inline(always)]
    pub fn acosh(x: f32) -> f32 {
        libm::acoshf(x)
    }
    #[inline(always)]
    pub fn atanh(x: f32) -> f32 {
        libm::atanhf(x)
    }
}
pub mod f64 {
    #[inline(always)]
    pub fn sinh(x: f64) -> f64 {
        libm::sinh(x)
    }
    #[inline(always)]
    pub fn cosh(x: f64) -> f64 {
        libm::cosh(x)
    }
    #[inline(always)]
    pub fn tanh(x: f64) -> f64 {
        libm::tanh(x)
    }
    #[inline(always)]
    pub fn asinh(x: f64) -> f64 {
        libm::asinh(x)
    }
    #[inline(always)]
    pub fn acosh(x: f64) -> f64 {
        libm::acosh(x)
    }
    #[inline(always)]
    pub fn atanh(x: f64) -> f64 {
        libm::atanh(x)
    }
}
