//! The language of element-wise ops: the `rows!` macro.
//!
//! ```text
//! table NAME;
//! kind name(inputs) -> y = formula, as "NodeName0", on 0.2..4.0, { dinput(what it needs) = formula, ... };
//! ```
//!
//! * `table NAME with methods` makes each row a method of `Tensor` too.
//! * `kind`: `real` (integers become the default float), `angle` (the same, with sines of numbers of any size),
//!   `exponential` and `logarithmic` (the same of one input, with functions of it that end in `_within`), `tabled` (of one,
//!   with what is looked up in a table, `array/kernels/lanes.rs`), `number` (every dtype keeps itself),
//!   `test` (numbers to truths), `real_test` (floats to truths), `logic` (truths to truths), `bits` (integers and truths).
//! * In a derivative, `g` is the gradient of the output, an input's name is that input, `y` is the output. What the list
//!   names (besides `g`) is kept from the forward pass, and nothing else. A derivative that is missing does not exist.
//! * The formula of a derivative is read twice: over numbers, as one pass over memory, and over terms, in recorded tensor
//!   operations, when the derivative is to be differentiated. The same formula with a tangent for `g` is forward mode.
//! * `name(x, slope = 0.01)`: an input may have a default for Python. An input without a derivative is usually a number.
//! * `unknown a as "igamma: input"` says that the derivative of input `a` exists and is not implemented: to ask for it is an
//!   error that names it so.
//! * `on` is the domain from which the gradient check draws (-2..2 if not said); `as` is the node's name where it is not
//!   the op's name in camel case with `Backward0`.

/// The table of element-wise ops. See the head of `src/graph/row/table.rs` for the language.
#[macro_export]
macro_rules! rows {
    (table $table:ident with methods; $($rows:tt)*) => {
        $crate::rows! { table $table; $($rows)* }
        $crate::rows! { @methods $($rows)* }
    };
    (table $table:ident; $( $(#[doc = $doc:literal])* $kind:ident $name:ident ( $($x:ident $(= $default:literal)?),+ ) -> $y:ident = $forward:expr
        $(, as $node:literal)? $(, unknown $u:ident as $unknown:literal)? $(, on $low:literal .. $high:literal)?
        , { $( $d:ident ( $($k:ident),+ ) = $rule:expr ),* $(,)? } );* $(;)?
    ) => {
        $(
            $(#[doc = $doc])*
            #[inline]
            pub fn $name<'a>(
                $( $x: impl Into<$crate::graph::Operand<'a>> ),+
            ) -> $crate::error::Result<$crate::graph::Tensor> {
                $crate::graph::row::apply(&$name::ROW, [$( $x.into() ),+])
            }

            #[allow(non_camel_case_types, missing_docs, unused_imports, unused_variables, clippy::float_cmp, clippy::neg_multiply)]
            pub mod $name {
                use $crate::array::kernels::{formula, integer::{Integer, N}, real::Real, value::{Mask, V}};
                use $crate::array::kernels::lanes::{L, LanesFormula, Lookup};
                use $crate::array::Bool;
                use $crate::graph::row::{
                    Derivative, Kind, MOST_INPUTS, NodeName, Row, Takes, differentiated, input_named, needed, same,
                };

                const INPUTS: &[&str] = &[$( stringify!($x) ),+];
                const ARITY: usize = INPUTS.len();
                const _: () = assert!(ARITY <= MOST_INPUTS, "a row has too many inputs");
                struct Forward;
                $crate::rows!(@forward $kind ($($x),+) $forward);
                $(
                    struct $d;
                    const _: () = ();
                    impl formula::RealFormula<{ [$( stringify!($k) ),+].len() }> for $d {
                        #[inline(always)]
                        fn at<T: Real, const FAR: bool>(
                            [$($k),+]: [V<T, FAR>; { [$( stringify!($k) ),+].len() }],
                        ) -> V<T, FAR> { $rule }
                    }
                )*
                pub static ROW: Row = Row {
                    name: stringify!($name),
                    node: const { &$crate::rows!(@node $name $($node)?) }.as_str(),
                    inputs: INPUTS,
                    defaults: &[$( $crate::rows!(@default $($default)?) ),+],
                    doc: concat!($($doc),*),
                    kind: $crate::rows!(@kind $kind),
                    forward: $crate::rows!(@kernel $kind),
                    derivatives: &[$( Derivative {
                        input: differentiated(stringify!($d), INPUTS),
                        takes: &[$( Takes::named(stringify!($k), INPUTS, stringify!($y)) ),+],
                        needs: needed(&[$( Takes::named(stringify!($k), INPUTS, stringify!($y)) ),+]),
                        identity: same(stringify!($rule), "g"),
                        kernel: $crate::rows!(@derivative $kind { [$( stringify!($k) ),+].len() } $d),
                        terms: |terms| {
                            let [$($k),+] = terms else { unreachable!("as many terms as the list names") };
                            $crate::graph::Term::from($rule)
                        },
                    } ),*],
                    unknown: $crate::rows!(@unknown $(INPUTS, stringify!($u), $unknown)?),
                    differentiable: 0 $( | 1 << differentiated(stringify!($d), INPUTS) )*
                        $( | 1 << input_named(stringify!($u), INPUTS) )?,
                    domain: $crate::rows!(@domain $($low, $high)?),
                };
            }
        )*
        /// The rows of this table.
        pub static $table: &[&$crate::graph::Row] = &[$( &$name::ROW ),*];
    };
    // A row's formula does not matter to its method; its shape must be read all the same.
    (@methods $( $(#[doc = $doc:literal])* $kind:ident $name:ident (
            $first:ident $(= $d0:literal)? $(, $rest:ident $(= $default:literal)?)*
        ) -> $y:ident = $forward:expr $(, as $node:literal)? $(, unknown $u:ident as $unknown:literal)?
            $(, on $low:literal .. $high:literal)? , { $($rules:tt)* } );*
        $(;)?
    ) => {
        // Operands share one lifetime, be there one or several.
        #[allow(clippy::needless_lifetimes, clippy::extra_unused_lifetimes)]
        impl $crate::graph::Tensor { $(
            $(#[doc = $doc])*
            pub fn $name<'a>(
                &'a self $(, $rest: impl Into<$crate::graph::Operand<'a>>)*
            ) -> $crate::error::Result<Self> {
                self::$name(self $(, $rest)*)
            }
        )* }
    };
    (@forward real ($($x:ident),+) $forward:expr) => {
        impl formula::RealFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real, const FAR: bool>([$($x),+]: [V<T, FAR>; ARITY]) -> V<T, FAR> { $forward }
        }
    };
    (@forward angle ($($x:ident),+) $forward:expr) => { $crate::rows!(@forward real ($($x),+) $forward); };
    (@forward exponential ($x:ident) $forward:expr) => { $crate::rows!(@forward real ($x) $forward); };
    (@forward logarithmic ($x:ident) $forward:expr) => { $crate::rows!(@forward real ($x) $forward); };
    (@forward tabled ($x:ident) $forward:expr) => {
        $crate::rows!(@forward real ($x) $forward);
        impl LanesFormula for Forward {
            #[inline(always)]
            fn at<R: Lookup>($x: L<R>) -> L<R> { $forward }
        }
    };
    (@forward number ($($x:ident),+) $forward:expr) => {
        impl formula::RealFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real, const FAR: bool>([$($x),+]: [V<T, FAR>; ARITY]) -> V<T, FAR> { $forward }
        }
        impl formula::IntegerFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Integer>([$($x),+]: [N<T>; ARITY]) -> N<T> { $forward }
        }
    };
    (@forward test ($($x:ident),+) $forward:expr) => {
        impl formula::RealTest<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real>([$($x),+]: [V<T>; ARITY]) -> Mask { $forward }
        }
        impl formula::IntegerTest<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Integer>([$($x),+]: [N<T>; ARITY]) -> Mask { $forward }
        }
    };
    (@forward real_test ($($x:ident),+) $forward:expr) => {
        impl formula::RealTest<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real>([$($x),+]: [V<T>; ARITY]) -> Mask { $forward }
        }
    };
    (@forward bits ($($x:ident),+) $forward:expr) => {
        impl formula::IntegerFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Integer>([$($x),+]: [N<T>; ARITY]) -> N<T> { $forward }
        }
    };
    (@forward logic ($($x:ident),+) $forward:expr) => {
        impl formula::Formula<ARITY> for Forward {
            type I = Bool;
            type O = Bool;
            type Note = bool;
            type Total = Self;
            #[inline(always)]
            fn at(x: [Bool; ARITY]) -> Bool {
                let [$($x),+] = x.map(|b| Mask(b.get()));
                $forward.0.into()
            }
        }
    };
    (@kernel real) => { formula::real::<ARITY, Forward>() };
    (@kernel angle) => { formula::angle::<ARITY, Forward>() };
    (@kernel exponential) => { formula::exponential::<Forward>() };
    (@kernel logarithmic) => { formula::logarithmic::<Forward>() };
    (@kernel tabled) => { formula::tabled::<Forward>() };
    (@kernel number) => { formula::number::<ARITY, Forward>() };
    (@kernel test) => { formula::number_test::<ARITY, Forward>() };
    (@kernel real_test) => { formula::real_test::<ARITY, Forward>() };
    (@kernel bits) => { formula::integer::<ARITY, Forward>() };
    (@kernel logic) => { formula::logic::<ARITY, Forward>() };
    (@derivative angle $arity:block $d:ident) => { formula::angle::<$arity, $d>() };
    (@derivative $kind:ident $arity:block $d:ident) => { formula::real::<$arity, $d>() };
    (@kind real) => { Kind::Real };
    (@kind angle) => { Kind::Real };
    (@kind exponential) => { Kind::Real };
    (@kind logarithmic) => { Kind::Real };
    (@kind tabled) => { Kind::Real };
    (@kind number) => { Kind::Number };
    (@kind test) => { Kind::Test };
    (@kind real_test) => { Kind::RealTest };
    (@kind bits) => { Kind::Bits };
    (@kind logic) => { Kind::Logic };
    (@node $name:ident) => { NodeName::of_op(stringify!($name)) };
    (@node $name:ident $node:literal) => { NodeName::given($node) };
    (@default) => { None };
    (@default $value:literal) => { Some(stringify!($value)) };
    (@unknown) => { None };
    (@unknown $inputs:expr, $input:expr, $what:literal) => { Some((input_named($input, $inputs), $what)) };
    (@domain) => { (-2.0, 2.0) };
    (@domain $low:literal, $high:literal) => { ($low, $high) };
}
