//! Whether a value is still the same one in another type.

#[cfg(any(feature = "sql", feature = "validation"))]
mod coerced;
#[cfg(any(
    feature = "csv",
    feature = "json",
    feature = "http",
    feature = "sql",
    feature = "validation"
))]
mod cut;
#[cfg(any(feature = "sql", feature = "validation", feature = "quality"))]
mod digits;
#[cfg(any(feature = "sql", feature = "validation", feature = "json", feature = "http"))]
mod floats;
#[cfg(feature = "sqlite")]
mod numeric;
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
mod wide;

#[cfg(any(feature = "sql", feature = "validation"))]
pub(crate) use self::coerced::Coerced;
#[cfg(feature = "validation")]
pub(crate) use self::coerced::missing_in;
#[cfg(feature = "csv")]
pub(crate) use self::cut::{Days, may_be_cut};
#[cfg(any(feature = "json", feature = "http"))]
pub(crate) use self::cut::{digits_from, ends_in_seconds, goes_on_with_a_time};
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
pub(crate) use self::cut::{is_cut, places};
#[cfg(feature = "quality")]
pub(crate) use self::digits::Digits;
#[cfg(any(feature = "json", feature = "http"))]
pub(crate) use self::floats::LARGEST_WHOLE;
#[cfg(feature = "sqlite")]
pub(crate) use self::floats::{is_float, is_kept_as_float};
#[cfg(feature = "sqlite")]
pub(crate) use self::numeric::is_kept_as_numeric;
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
pub(crate) use self::wide::{narrowed, widened};
