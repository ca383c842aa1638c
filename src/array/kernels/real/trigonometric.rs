//! Trigonometric functions.
pub mod f32 {
    #[inline(always)]
    pub fn sin(x: f32) -> f32 {
        libm::sinf(x)
    }
    #[inline(always)]
    pub fn cos(x: f32) -> f32 {
        libm::cosf(x)
    }
    #[inline(always)]
    pub fn tan(x: f32) -> f32 {
        libm::tanf(x)
    }
    #[inline(always)]
    pub fn atan(x: f32) -> f32 {
        libm::atanf(x)
    }
    #[inline(always)]
    pub fn sinc(x: f32) -> f32 {
        let angle = x * std::f32::consts::PI;
        let ratio = sin(angle) / angle;
        if x == 0.0 { 1.0 } else { ratio }
    }
}
pub mod f64 {
    #[inline(always)]
    pub fn sin(x: f64) -> f64 {
        libm::sin(x)
    }
    #[inline(always)]
    pub fn cos(x: f64) -> f64 {
        libm::cos(x)
    }
    #[inline(always)]
    pub fn tan(x: f64) -> f64 {
        libm::tan(x)
    }
    #[inline(always)]
    pub fn atan(x: f64) -> f64 {
        libm::atan(x)
    }
    #[inline(always)]
    pub fn sinc(x: f64) -> f64 {
        let angle = x * std::f64::consts::PI;
        let ratio = sin(angle) / angle;
        if x == 0.0 { 1.0 } else { ratio }
    }
}
pub use libm::{acos, asin, atan2};
