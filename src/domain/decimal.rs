//! Converts decimal text to whole numbers, exactly.

/// A number that cannot be a price or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a decimal number.
    #[error("it is not a number")]
    Malformed,
    /// Below zero.
    #[error("it is negative")]
    Negative,
    /// The number would have to be rounded.
    #[error("it is finer than can be kept")]
    TooFine,
    /// The number does not fit 64 bits.
    #[error("it is too large")]
    TooLarge,
}

/// USD per million tokens, as decimal text, in nano-dollars.
///
/// # Errors
/// The text is not a number, or the number is negative, finer than a nano-dollar or too large.
pub fn usd_per_million_tokens(text: &str) -> Result<i64, DecimalError> {
    usd(text)
}

/// USD, as decimal text, in nano-dollars.
///
/// # Errors
/// The text is not a number, or the number is negative, finer than a nano-dollar or too large.
pub fn usd(text: &str) -> Result<i64, DecimalError> {
    scaled(text, 9)
}

/// `text` × 10^`shift` as a whole number: `1.25e-05` with a shift of 15 is 12,500,000,000.
pub(super) fn scaled(text: &str, shift: i32) -> Result<i64, DecimalError> {
    let (digits, power) = parts(text)?;
    whole(&digits, power.saturating_add(shift))
}

/// As [`scaled`], for a number that was computed with floats. Only fifteen digits of a float are reliable. Further
/// digits are rounded away, so that `2.9999900000000002e-06` is 2,999,990,000.
pub(super) fn scaled_float(text: &str, shift: i32) -> Result<i64, DecimalError> {
    let (mut digits, mut power) = parts(text)?;
    if let Some((kept, [first, ..])) = digits.as_bytes().split_at_checked(FLOAT_DIGITS) {
        let up = i64::from(*first >= b'5');
        let kept: i64 = std::str::from_utf8(kept)
            .ok()
            .and_then(|kept| kept.parse().ok())
            .ok_or(DecimalError::TooLarge)?;
        let cut = digits.len().saturating_sub(FLOAT_DIGITS);
        digits = kept.saturating_add(up).to_string();
        let significant = digits.trim_end_matches('0').len();
        let zeros = digits.len().saturating_sub(significant);
        digits.truncate(significant);
        power = power.saturating_add(length(cut.saturating_add(zeros))?);
    }
    whole(&digits, power.saturating_add(shift))
}

/// The decimal digits that a double keeps for every number.
const FLOAT_DIGITS: usize = 15;

/// The significant digits of a number (none for zero), and the power of ten of the last digit.
fn parts(text: &str) -> Result<(String, i32), DecimalError> {
    if text.starts_with('-') {
        return Err(DecimalError::Negative);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        None => (text, 0),
    };
    let (whole, decimals) = match mantissa.split_once('.') {
        Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
        Some(_) => return Err(DecimalError::Malformed),
        None => (mantissa, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return Err(DecimalError::Malformed);
    }
    let digits = format!("{whole}{decimals}");
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len().saturating_sub(significant.len());
    let significant = significant.trim_start_matches('0').to_owned();
    let power = exponent.saturating_add(length(zeros)?).saturating_sub(length(decimals.len())?);
    Ok((significant, power))
}

fn whole(digits: &str, power: i32) -> Result<i64, DecimalError> {
    if digits.is_empty() {
        return Ok(0);
    }
    let power = u32::try_from(power).map_err(|_| DecimalError::TooFine)?;
    let digits: i64 = digits.parse().map_err(|_| DecimalError::TooLarge)?;
    10_i64
        .checked_pow(power)
        .and_then(|factor| digits.checked_mul(factor))
        .ok_or(DecimalError::TooLarge)
}

fn length(bytes: usize) -> Result<i32, DecimalError> {
    i32::try_from(bytes).map_err(|_| DecimalError::TooLarge)
}

fn exponent_of(text: &str) -> Result<i32, DecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecimalError::Malformed);
    }
    text.parse().map_err(|_| DecimalError::Malformed)
}
