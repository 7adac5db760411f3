//! Durations in the attribute: `100`, `"1h 30m"`, or any expression.
//!
//! Called by `attr`, and by `expand` for the tokens. Must not know which word they belong to, but
//! for the messages.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::time::Duration;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ExprUnary, Lit, UnOp};

/// A duration as it was written.
pub(crate) enum Length {
    Known(Duration),
    Computed(Box<Expr>),
}

impl Length {
    pub(crate) fn new(word: &str, expr: Expr) -> syn::Result<Self> {
        let error =
            |message: &str| Err(syn::Error::new(expr.span(), format!("`{word}` {message}")));
        match &expr {
            Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => match int.suffix() {
                "" | "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" => {
                    match int.base10_parse() {
                        Ok(seconds) => Ok(Self::Known(Duration::from_secs(seconds))),
                        Err(_) => error("is too long for a `Duration`"),
                    }
                }
                _ => error(&format!("wants its unit in quotes: `{word} = \"{int}\"`")),
            },
            Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => {
                let milliseconds = float.base10_parse::<f64>().unwrap_or_default() * 1e3;
                error(&format!(
                    "takes whole seconds or text: `{word} = \"{}ms\"`",
                    milliseconds.round()
                ))
            }
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => match parse(&text.value()) {
                Ok(length) => Ok(Self::Known(length)),
                Err(why) => error(&format!("{why}\n\nwrite it as \"1h 30m\", \"250ms\" or \"1d\"")),
            },
            Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => error("cannot be negative"),
            Expr::Lit(ExprLit { lit: Lit::Bool(_) | Lit::Char(_) | Lit::ByteStr(_), .. }) => {
                error("takes seconds, text such as \"1h 30m\", or a `Duration`")
            }
            _ => Ok(Self::Computed(Box::new(expr))),
        }
    }

    /// A closure that captures nothing and gives the duration.
    pub(crate) fn closure(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::Known(length) => {
                let (seconds, nanos) = (length.as_secs(), length.subsec_nanos());
                quote!(|| #private::Duration::new(#seconds, #nanos))
            }
            Self::Computed(expr) => {
                quote_spanned!(expr.span()=> || -> #private::Duration { #expr })
            }
        }
    }
}

/// `1h 30m`, `250ms`, `1d`: each unit once, in any order.
fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty".to_string());
    }
    let (mut sum, mut seen) = (Duration::ZERO, Vec::new());
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(format!("cannot be read at \"{rest}\": a number is missing"));
        }
        let nanos: u128 = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60 * 1_000_000_000,
            "h" | "hour" | "hours" => 3_600 * 1_000_000_000,
            "d" | "day" | "days" => 86_400 * 1_000_000_000,
            "w" | "week" | "weeks" => 7 * 86_400 * 1_000_000_000,
            "" => return Err(format!("does not say the unit of \"{number}\"")),
            other => return Err(format!("has an unknown unit \"{other}\"")),
        };
        if seen.contains(&nanos) {
            return Err(format!("has the unit \"{unit}\" twice"));
        }
        seen.push(nanos);
        let one =
            number.parse::<u128>().ok().and_then(|number| number.checked_mul(nanos)).and_then(
                |nanos| {
                    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
                    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
                },
            );
        sum = one
            .and_then(|one| sum.checked_add(one))
            .ok_or_else(|| "is too long for a `Duration`".to_string())?;
        rest = after.trim_start();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn text_is_read_or_refused() {
        assert_eq!(parse("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse(" 1d "), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert_eq!(parse("30m 1h"), parse("1h 30m"));
        for twice in ["1h 1h", "1h1h", "1m 2s 3min"] {
            assert!(parse(twice).is_err_and(|why| why.ends_with("twice")), "{twice}");
        }
        for wrong in ["", "10", "h", "1x", "1.5s", "-1s", "1h,2m", "99999999999999999999w"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
