//! Dates as documents write them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// Milliseconds since the epoch; a time without a zone is taken as UTC.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    if let Ok(at) = DateTime::parse_from_rfc2822(text) {
        return Some(at.timestamp_millis());
    }
    const TIMES: [&str; 5] = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
        "%d.%m.%Y %H:%M",
    ];
    for format in TIMES {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(at.and_utc().timestamp_millis());
        }
    }
    const DAYS: [&str; 5] = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d %B %Y", "%B %d, %Y"];
    DAYS.iter()
        .find_map(|format| NaiveDate::parse_from_str(text, format).ok())
        .map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
}

/// `D:YYYYMMDDHHmmSSOHH'mm'`, of which all but the year may be left out.
pub fn parse_pdf(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_prefix("D:").unwrap_or(text);
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let number = |from: usize, to: usize, default: u32| -> Option<u32> {
        match digits.get(from..to) {
            Some(field) => field.parse().ok(),
            None => Some(default),
        }
    };
    let year: i32 = digits.get(..4)?.parse().ok()?;
    let day = NaiveDate::from_ymd_opt(year, number(4, 6, 1)?, number(6, 8, 1)?)?;
    let time = day.and_hms_opt(number(8, 10, 0)?, number(10, 12, 0)?, number(12, 14, 0)?)?;
    let zone: String = text.chars().skip(digits.len()).collect();
    let mut fields = zone.get(1..).unwrap_or("").split('\'');
    let mut field = || {
        fields
            .next()
            .and_then(|f| f.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let minutes = field() * 60 + field();
    let offset = match zone.chars().next() {
        Some('+') => minutes,
        Some('-') => -minutes,
        _ => 0,
    };
    Some(time.and_utc().timestamp_millis() - offset * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates() {
        fn check(text: &str, expect: Option<i64>) {
            assert_eq!(parse(text), expect, "{text}");
        }
        check("2025-01-08", Some(1_736_294_400_000));
        check("08.01.2025", Some(1_736_294_400_000));
        check("2025-01-08T02:00:00+02:00", Some(1_736_294_400_000));
        check("2025-01-08T00:00:00.000000", Some(1_736_294_400_000));
        check("Wed, 08 Jan 2025 00:00:00 +0000", Some(1_736_294_400_000));
        check("January 8, 2025", Some(1_736_294_400_000));
        check("soon", None);
        check("", None);
    }

    #[test]
    fn reads_pdf_dates() {
        fn check(text: &str, expect: Option<i64>) {
            assert_eq!(parse_pdf(text), expect, "{text}");
        }
        check("D:20250108000000Z", Some(1_736_294_400_000));
        check("D:20250108020000+02'00'", Some(1_736_294_400_000));
        check("D:20250108", Some(1_736_294_400_000));
        check("20250108", Some(1_736_294_400_000));
        check("D:2025130", None);
        check("x", None);
    }
}
