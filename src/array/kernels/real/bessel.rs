//! Bessel functions.

pub use libm::{j0 as bessel_j0, j1 as bessel_j1, y0 as bessel_y0, y1 as bessel_y1};

use super::polynomial::polynomial;
use super::separate::{exp, exp_shifted};

/// Below this the power series, all of whose terms are positive; above it `i(x) e^-x sqrt(x)` as a polynomial in `16/x - 1`.
const FAR: f64 = 8.0;

/// `sum (x^2/4)^k / (k! (k + order)!)`.
fn series(x: f64, order: u32) -> f64 {
    let z = 0.25 * x * x;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..60_u32 {
        term *= z / f64::from(k * (k + order));
        sum += term;
        if term < 0.1 * f64::EPSILON * sum {
            break;
        }
    }
    sum
}

/// `i0(x) e^-x sqrt(x)` for `x >= 8`.
fn i0_far(x: f64) -> f64 {
    polynomial!(16.0 / x - 1.0; 0.402_176_509_445_008_16, 0.003_360_551_983_667_876, 0.000_136_216_074_377_372_68,
        1.114_303_379_189_304_6e-5, 1.483_848_150_861_771e-6, 2.973_597_885_290_274e-7, 8.871_293_193_604_678e-8,
        3.932_712_308_583_293_4e-8, 2.162_446_034_312_458e-8, 7.543_775_238_250_733e-9, -7.116_744_499_757_987e-9,
        -1.335_632_771_743_214e-8, -4.270_649_721_363_825e-9, 7.396_966_587_219_158e-9, 5.143_208_985_862_284_5e-9,
        -3.212_512_951_035_73e-9, -2.892_733_366_960_394_3e-9, 1.166_139_692_731_452_7e-9,
        9.544_598_596_408_217e-10, -3.071_903_284_409_736_4e-10, -1.444_566_624_180_803_8e-10, 4.135_870_336_904_037e-11)
}

/// `i1(x) e^-x sqrt(x)` for `x >= 8`.
fn i1_far(x: f64) -> f64 {
    polynomial!(16.0 / x - 1.0; 0.389_398_459_025_872_3, -0.009_749_577_193_235_751, -0.000_219_235_763_818_736_7,
        -1.503_854_720_140_233_4e-5, -1.834_910_741_621_180_4e-6, -3.483_855_125_273_481e-7, -1.000_032_394_498_305_4e-7,
        -4.313_034_164_182_435_6e-8, -2.345_311_161_821_713_5e-8, -8.417_810_881_556_892e-9, 7.118_573_210_000_024e-9,
        1.398_623_029_457_534_4e-8, 4.794_244_492_727_588_5e-9, -7.500_258_824_785_232e-9, -5.508_409_408_958_088e-9,
        3.158_127_700_170_617e-9, 3.058_265_402_804_428_7e-9, -1.115_307_485_189_552_8e-9,
        -1.003_228_319_096_585_8e-9, 2.879_529_700_247_324_6e-10, 1.513_858_549_435_606e-10, -3.828_309_823_901_464_7e-11)
}

/// `e^x value`, where `e^x` alone could overflow.
fn grown(x: f64, value: f64) -> f64 {
    exp_shifted(x, -2.0) * value * 4.0
}

pub fn i0(x: f64) -> f64 {
    let y = x.abs();
    if y < FAR {
        return series(y, 0);
    }
    if y == f64::INFINITY {
        return y;
    }
    grown(y, i0_far(y) / y.sqrt())
}

pub fn i0e(x: f64) -> f64 {
    let y = x.abs();
    if y < FAR { series(y, 0) * exp(-y) } else { i0_far(y) / y.sqrt() }
}

pub fn i1(x: f64) -> f64 {
    let y = x.abs();
    if y < FAR {
        return x * (0.5 * series(y, 1));
    }
    if y == f64::INFINITY {
        return x;
    }
    grown(y, i1_far(y) / y.sqrt()).copysign(x)
}

pub fn i1e(x: f64) -> f64 {
    let y = x.abs();
    if y < FAR { x * (0.5 * series(y, 1) * exp(-y)) } else { (i1_far(y) / y.sqrt()).copysign(x) }
}
