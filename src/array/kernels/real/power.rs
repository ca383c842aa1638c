//! Powers.
pub use libm::cbrt;
pub mod f32 {
    #[inline(always)]
    pub fn pow(x: f32, y: f32) -> f32 {
        libm::powf(x, y)
    }
    #[inline(always)]
    pub fn hypot(x: f32, y: f32) -> f32 {
        libm::hypotf(x, y)
    }
    #[inline(always)]
    pub fn ldexp(x: f32, n: f32) -> f32 {
        x * super::super::exponential::f32::exp2(n)
    }
    #[inline(always)]
    pub fn powi(x: f32, n: i32) -> f32 {
        let mut power = 1.0;
        let mut square = x;
        let mut rest = n.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                power *= square;
            }
            square *= square;
            rest >>= 1;
        }
        if n < 0 { 1.0 / power } else { power }
    }
}
pub mod f64 {
    #[inline(always)]
    pub fn pow(x: f64, y: f64) -> f64 {
        libm::pow(x, y)
    }
    #[inline(always)]
    pub fn hypot(x: f64, y: f64) -> f64 {
        libm::hypot(x, y)
    }
    #[inline(always)]
    pub fn ldexp(x: f64, n: f64) -> f64 {
        x * super::super::exponential::f64::exp2(n)
    }
    #[inline(always)]
    pub fn powi(x: f64, n: i32) -> f64 {
        let mut power = 1.0;
        let mut square = x;
        let mut rest = n.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                power *= square;
            }
            square *= square;
            rest >>= 1;
        }
        if n < 0 { 1.0 / power } else { power }
    }
}
