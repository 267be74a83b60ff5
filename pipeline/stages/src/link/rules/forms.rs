//! Normal forms: what makes two ways of writing one thing the same.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use regex::Captures;
use serde::Deserialize;

/// How a passage becomes its normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    /// As written, white space folded, without quotes and stops around it.
    #[default]
    Text,
    Upper,
    Lower,
    /// ISO 8601 day, from the groups year, month and day.
    Date,
    /// Currency code and amount with two decimals, from the groups currency, amount and scale.
    Money,
}

/// What words of dates and money mean.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meanings {
    /// Names of months, in lower case, to 1..12.
    #[serde(default)]
    pub months: BTreeMap<String, u32>,
    /// Signs and names of currencies, in lower case, to ISO 4217 codes.
    #[serde(default)]
    pub currencies: BTreeMap<String, String>,
    /// Words after an amount, in lower case, to the power of ten they stand for.
    #[serde(default)]
    pub scales: BTreeMap<String, u32>,
}

/// The normal form of a text that needs no groups; none where nothing is left of it.
pub(super) fn plain(form: Form, passage: &str) -> Option<String> {
    let folded = passage.split_whitespace().collect::<Vec<_>>().join(" ");
    let trimmed =
        folded.trim_matches(['"', '“', '”', '„', '\'', '*', '_', '`', ',', ';', ':', ' ']);
    let value = match form {
        Form::Upper => trimmed.to_uppercase(),
        Form::Lower => trimmed.to_lowercase(),
        Form::Text | Form::Date | Form::Money => trimmed.to_owned(),
    };
    (!value.is_empty()).then_some(value)
}

/// The normal form of a match; none where it is no such thing, such as 31 February.
pub(super) fn of_match(
    form: Form,
    meanings: &Meanings,
    captures: &Captures,
    passage: &str,
) -> Option<String> {
    match form {
        Form::Date => date(meanings, captures),
        Form::Money => money(meanings, captures),
        Form::Text | Form::Upper | Form::Lower => plain(form, passage),
    }
}

fn date(meanings: &Meanings, captures: &Captures) -> Option<String> {
    let year: i32 = captures.name("year")?.as_str().parse().ok()?;
    let day: u32 = captures.name("day")?.as_str().parse().ok()?;
    let month = captures.name("month")?.as_str().to_lowercase();
    let month = match month.parse::<u32>() {
        Ok(number) => number,
        Err(_) => *meanings.months.get(month.trim_end_matches('.'))?,
    };
    let day = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(day.format("%Y-%m-%d").to_string())
}

fn money(meanings: &Meanings, captures: &Captures) -> Option<String> {
    let currency = captures.name("currency")?.as_str().to_lowercase();
    let currency = meanings.currencies.get(&currency)?;
    let scale = match captures.name("scale") {
        Some(word) => *meanings
            .scales
            .get(word.as_str().to_lowercase().trim_end_matches('.'))?,
        None => 0,
    };
    let cents = cents(captures.name("amount")?.as_str(), scale)?;
    Some(format!("{currency} {}.{:02}", cents / 100, cents % 100))
}

/// Hundredths of an amount, whichever of point and comma separates decimals: the last one does, unless three digits
/// follow it, or it stands more than once. None beyond 15 digits.
fn cents(amount: &str, scale: u32) -> Option<u128> {
    let separators = |c: char| matches!(c, '.' | ',');
    let decimal = amount.rfind(separators).filter(|&at| {
        let after = amount.len() - at - 1;
        let sign = amount.get(at..=at).unwrap_or_default();
        after != 3 && amount.matches(sign).count() == 1
    });
    let (whole, fraction) = match decimal {
        Some(at) => (amount.get(..at)?, amount.get(at + 1..)?),
        None => (amount, ""),
    };
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let (whole, fraction) = (digits(whole), digits(fraction));
    let places = (scale + 2) as usize;
    if whole.is_empty() || whole.len() + places > 17 || fraction.len() > places {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_every_notation() {
        let check = |amount: &str, scale: u32, expect: Option<u128>| {
            assert_eq!(cents(amount, scale), expect, "{amount} e{scale}");
        };
        check("4284", 0, Some(428_400));
        check("4,284.00", 0, Some(428_400));
        check("4.284,00", 0, Some(428_400));
        check("4.284", 0, Some(428_400));
        check("1.234.567", 0, Some(123_456_700));
        check("1'234.50", 0, Some(123_450));
        check("0,07", 0, Some(7));
        check("86.4", 0, Some(8_640));
        check("1.5", 6, Some(150_000_000));
        check("1,25", 3, Some(125_000));
        check("12.345.678.901.234.567", 0, None);
        check("1.2345", 0, None);
        check("", 0, None);
    }

    #[test]
    fn text_is_folded_and_freed_of_its_quotes() {
        let check = |form, text: &str, expect: Option<&str>| {
            assert_eq!(plain(form, text).as_deref(), expect);
        };
        check(Form::Text, "\"Alder &\n  Finch\",", Some("Alder & Finch"));
        check(Form::Lower, "Info@Example.ORG", Some("info@example.org"));
        check(Form::Upper, "trl-2041", Some("TRL-2041"));
        check(Form::Text, " ** ", None);
    }
}
