//! Logarithms.
pub mod f32 {
    use super::super::exponential::f32::{exp, exp2};
    #[inline(always)]
    pub fn ln(x: f32) -> f32 {
        libm::logf(x)
    }
    #[inline(always)]
    pub fn ln_1p(x: f32) -> f32 {
        libm::log1pf(x)
    }
    #[inline(always)]
    pub fn log2(x: f32) -> f32 {
        libm::log2f(x)
    }
    #[inline(always)]
    pub fn log10(x: f32) -> f32 {
        libm::log10f(x)
    }
    #[inline(always)]
    pub fn softplus(x: f32, beta: f32, threshold: f32) -> f32 {
        let scaled = x * beta;
        let soft = ln_1p(exp(scaled)) / beta;
        if scaled > threshold { x } else { soft }
    }
    #[inline(always)]
    pub fn log_sigmoid(x: f32) -> f32 {
        let negative = if x > 0.0 { 0.0 } else { x };
        negative - ln_1p(exp(-x.abs()))
    }
    #[inline(always)]
    pub fn entr(x: f32) -> f32 {
        let inside = -x * ln(x);
        let below = if x < 0.0 { f32::NEG_INFINITY } else { inside };
        if x == 0.0 { 0.0 } else { below }
    }
    #[inline(always)]
    pub fn logaddexp(x: f32, y: f32) -> f32 {
        let larger = if x > y { x } else { y };
        let sum = larger + ln_1p(exp(-(x - y).abs()));
        if (x == y) & x.is_infinite() { x } else { sum }
    }
    #[inline(always)]
    pub fn logaddexp2(x: f32, y: f32) -> f32 {
        let larger = if x > y { x } else { y };
        let sum = larger + ln_1p(exp2(-(x - y).abs())) * std::f32::consts::LOG2_E;
        if (x == y) & x.is_infinite() { x } else { sum }
    }
    #[inline(always)]
    pub fn xlogy(x: f32, y: f32) -> f32 {
        let product = x * ln(y);
        if (x == 0.0) & !y.is_nan() { 0.0 } else { product }
    }
    #[inline(always)]
    pub fn xlog1py(x: f32, y: f32) -> f32 {
        let product = x * ln_1p(y);
        if (x == 0.0) & !y.is_nan() { 0.0 } else { product }
    }
}
pub mod f64 {
    use super::super::exponential::f64::{exp, exp2};
    #[inline(always)]
    pub fn ln(x: f64) -> f64 {
        libm::log(x)
    }
    #[inline(always)]
    pub fn ln_1p(x: f64) -> f64 {
        libm::log1p(x)
    }
    #[inline(always)]
    pub fn log2(x: f64) -> f64 {
        libm::log2(x)
    }
    #[inline(always)]
    pub fn log10(x: f64) -> f64 {
        libm::log10(x)
    }
    #[inline(always)]
    pub fn softplus(x: f64, beta: f64, threshold: f64) -> f64 {
        let scaled = x * beta;
        let soft = ln_1p(exp(scaled)) / beta;
        if scaled > threshold { x } else { soft }
    }
    #[inline(always)]
    pub fn log_sigmoid(x: f64) -> f64 {
        let negative = if x > 0.0 { 0.0 } else { x };
        negative - ln_1p(exp(-x.abs()))
    }
    #[inline(always)]
    pub fn entr(x: f64) -> f64 {
        let inside = -x * ln(x);
        let below = if x < 0.0 { f64::NEG_INFINITY } else { inside };
        if x == 0.0 { 0.0 } else { below }
    }
    #[inline(always)]
    pub fn logaddexp(x: f64, y: f64) -> f64 {
        let larger = if x > y { x } else { y };
        let sum = larger + ln_1p(exp(-(x - y).abs()));
        if (x == y) & x.is_infinite() { x } else { sum }
    }
    #[inline(always)]
    pub fn logaddexp2(x: f64, y: f64) -> f64 {
        let larger = if x > y { x } else { y };
        let sum = larger + ln_1p(exp2(-(x - y).abs())) * std::f64::consts::LOG2_E;
        if (x == y) & x.is_infinite() { x } else { sum }
    }
    #[inline(always)]
    pub fn xlogy(x: f64, y: f64) -> f64 {
        let product = x * ln(y);
        if (x == 0.0) & !y.is_nan() { 0.0 } else { product }
    }
    #[inline(always)]
    pub fn xlog1py(x: f64, y: f64) -> f64 {
        let product = x * ln_1p(y);
        if (x == 0.0) & !y.is_nan() { 0.0 } else { product }
    }
}
