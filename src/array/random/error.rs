//! What a random fill refuses, and PyTorch's sentence for it.

use std::fmt;

/// Why a generator's state was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// The state is not as long as PyTorch's.
    Length {
        /// Its length in bytes.
        found: usize,
    },
    /// The counters are those of no seeded twister.
    Invalid,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(
                f,
                "Expected a CPUGeneratorImplState of size {} but found the input RNG state size to be {found}",
                super::STATE_BYTES
            ),
            Self::Invalid => f.write_str("Invalid mt19937 state"),
        }
    }
}

impl std::error::Error for StateError {}

/// Why a distribution was refused. Nothing was drawn and nothing was written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RandomError {
    /// A bound that the dtype cannot represent; `bound` is `from`, `to` or `to - 1`.
    OutOfBounds {
        /// The bound's name.
        bound: &'static str,
        /// The dtype, by its name in C.
        dtype: &'static str,
    },
    /// `uniform` with its bounds in the wrong order.
    EmptyRange {
        /// The lower bound.
        from: f64,
        /// The upper bound.
        to: f64,
    },
    /// `uniform` over a range whose length the dtype cannot represent.
    WideRange {
        /// The lower bound.
        from: f64,
        /// The upper bound.
        to: f64,
        /// The dtype, by its name in PyTorch's sentence.
        dtype: &'static str,
    },
    /// `normal` with a negative standard deviation.
    Deviation {
        /// The standard deviation.
        std: f64,
    },
    /// A parameter that must be positive and is not.
    NotPositive {
        /// PyTorch's name of the fill.
        fill: &'static str,
        /// PyTorch's name of the parameter.
        parameter: &'static str,
        /// Its value.
        found: f64,
    },
    /// `geometric` with a probability outside of the open unit interval.
    OpenProbability {
        /// The probability.
        p: f64,
    },
    /// `bernoulli` with a probability outside of the closed unit interval.
    Probability {
        /// The probability.
        p: f64,
    },
    /// `bernoulli` with probabilities of its own for each sample, one of which is outside of the closed unit interval.
    EachProbability {
        /// The probability.
        p: f64,
    },
    /// `randint` over an empty range.
    NoInteger {
        /// The lower bound.
        from: i64,
        /// The upper bound, exclusive.
        to: i64,
    },
    /// `multinomial` without a sample to draw.
    NoSamples,
    /// `multinomial` without replacement, of more samples than categories.
    TooManySamples,
    /// `multinomial` over weights that are negative, infinite or not a number.
    Weight,
    /// `multinomial` with replacement, over a weight that is negative or not a number.
    NegativeWeight,
    /// `multinomial` with replacement, over an infinite weight.
    InfiniteWeight,
    /// `multinomial` over weights that are all zero.
    NoWeight,
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { bound, dtype } => write!(f, "{bound} is out of bounds for {dtype}"),
            Self::EmptyRange { from, to } => {
                write!(
                    f,
                    "uniform_ expects to return a [from, to) range, but found from={} > to={}",
                    General(*from),
                    General(*to)
                )
            }
            Self::WideRange { from, to, dtype } => write!(
                f,
                "uniform_ expects to-from <= std::numeric_limits<{dtype}>::max(), but found to={} and from={} which \
                 result in to-from to exceed the limit",
                General(*to),
                General(*from)
            ),
            Self::Deviation { std } => {
                write!(f, "normal expects std >= 0.0, but found std {}", General(*std))
            }
            Self::NotPositive { fill, parameter, found } => {
                write!(f, "{fill} expects {parameter} > 0.0, but found {parameter}={}", General(*found))
            }
            Self::OpenProbability { p } => {
                write!(f, "geometric_ expects p to be in (0, 1), but got p={}", General(*p))
            }
            Self::Probability { p } => {
                write!(f, "bernoulli_ expects p to be in [0, 1], but got p={}", General(*p))
            }
            Self::EachProbability { p } => {
                write!(f, "Expected p_in >= 0 && p_in <= 1 to be true, but got false: p is {}", General(*p))
            }
            Self::NoInteger { from, to } => {
                write!(f, "random_ expects 'from' to be less than 'to', but got from={from} >= to={to}")
            }
            Self::NoSamples => f.write_str("cannot sample n_sample <= 0 samples"),
            Self::TooManySamples => {
                f.write_str("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
            }
            Self::Weight => f.write_str("probability tensor contains either `inf`, `nan` or element < 0"),
            Self::NegativeWeight => {
                f.write_str("invalid multinomial distribution (encountering probability entry < 0)")
            }
            Self::InfiniteWeight => f.write_str(
                "invalid multinomial distribution (encountering probability entry = infinity or NaN)",
            ),
            Self::NoWeight => f.write_str("invalid multinomial distribution (sum of probabilities <= 0)"),
        }
    }
}

impl std::error::Error for RandomError {}

/// A number as C's `%g` prints it, which is how it stands in PyTorch's sentences: six significant digits, no trailing zeros.
struct General(f64);

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scientific = format!("{:.5e}", self.0);
        let Some((digits, exponent)) = scientific.split_once('e') else {
            // Infinite or not a number.
            return f.write_str(&scientific.to_lowercase());
        };
        let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
        if (-4..6).contains(&exponent) {
            let fixed = format!("{:.*}", (5 - exponent) as usize, self.0);
            f.write_str(trimmed(&fixed))
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(f, "{}e{sign}{:02}", trimmed(digits), exponent.abs())
        }
    }
}

/// Without the zeros after a decimal point, and the point if nothing is left behind it.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::General;

    #[test]
    fn numbers_are_printed_as_c_prints_them() {
        let printed = [0.0, -1.0, 0.1 + 0.2, 1e-4, 1.5e-5, 123_456.7, 1_234_567.0, 3e38, 100_000.0];
        let expected = ["0", "-1", "0.3", "0.0001", "1.5e-05", "123457", "1.23457e+06", "3e+38", "100000"];
        assert_eq!(printed.map(|number| General(number).to_string()), expected);
        let printed = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(printed.map(|number| General(number).to_string()), ["nan", "inf", "-inf"]);
    }
}
