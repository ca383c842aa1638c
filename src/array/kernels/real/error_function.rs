//! The error function and the normal distribution.
pub mod f32 {
    #[inline(always)]
    pub fn erf(x: f32) -> f32 {
        libm::erff(x)
    }
    #[inline(always)]
    pub fn erfc(x: f32) -> f32 {
        libm::erfcf(x)
    }
    #[inline(always)]
    pub fn ndtr(x: f32) -> f32 {
        0.5 * erfc(-x * std::f32::consts::FRAC_1_SQRT_2)
    }
    #[inline(always)]
    pub fn normal_density(x: f32) -> f32 {
        super::super::exponential::f32::exp(-0.5 * x * x) * 0.398_942_280_401_432_7
    }
}
pub mod f64 {
    #[inline(always)]
    pub fn erf(x: f64) -> f64 {
        libm::erf(x)
    }
    #[inline(always)]
    pub fn erfc(x: f64) -> f64 {
        libm::erfc(x)
    }
    #[inline(always)]
    pub fn ndtr(x: f64) -> f64 {
        0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    }
    #[inline(always)]
    pub fn normal_density(x: f64) -> f64 {
        super::super::exponential::f64::exp(-0.5 * x * x) * 0.398_942_280_401_432_7
    }
}

pub fn erfcx(x: f64) -> f64 {
    libm::exp(x * x) * libm::erfc(x)
}
pub fn log_ndtr(x: f64) -> f64 {
    libm::log(self::f64::ndtr(x))
}
pub fn erfinv(x: f64) -> f64 {
    x
}
pub fn ndtri(x: f64) -> f64 {
    x
}
