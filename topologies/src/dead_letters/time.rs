//! Moments, as people write and read them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use penstock_schemas::now_ms;

/// A moment in milliseconds since the epoch: RFC 3339, a date or a date and time (UTC), or how long ago (`90s`, `30m`,
/// `2h`, `7d`).
pub fn moment(text: &str) -> Result<i64, String> {
    moment_at(text, now_ms())
}

fn moment_at(text: &str, now: i64) -> Result<i64, String> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.timestamp_millis());
    }
    for format in ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(moment.and_utc().timestamp_millis());
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(day
            .and_time(chrono::NaiveTime::MIN)
            .and_utc()
            .timestamp_millis());
    }
    ago(text).and_then(|ago| now.checked_sub(ago)).ok_or_else(|| {
        "expected a time such as 2026-03-14T09:30:00Z or 2026-03-14, or how long ago, such as 90s, 30m, 2h or 7d"
            .to_owned()
    })
}

/// How long: `90s`, `30m`, `2h`, `7d`.
pub fn span(text: &str) -> Result<Duration, String> {
    let ms = ago(text).and_then(|ms| u64::try_from(ms).ok());
    ms.map(Duration::from_millis)
        .ok_or_else(|| "expected how long, such as 36h or 7d".to_owned())
}

/// Milliseconds.
fn ago(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    i64::from(count).checked_mul(seconds * 1000)
}

/// RFC 3339, UTC, to the millisecond.
pub fn shown(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        const NOW: i64 = 1_795_000_000_000;
        let check = |text: &str, expect: Option<i64>| {
            assert_eq!(moment_at(text, NOW).ok(), expect, "{text}");
        };
        check("90s", Some(NOW - 90_000));
        check("30m", Some(NOW - 1_800_000));
        check("2h", Some(NOW - 7_200_000));
        check("7d", Some(NOW - 604_800_000));
        check("1970-01-02", Some(86_400_000));
        check("1970-01-01T00:01", Some(60_000));
        check("1970-01-01T00:00:01", Some(1_000));
        check("1970-01-01T01:00:01+01:00", Some(1_000));
        check("1970-01-01T00:00:01.5Z", Some(1_500));
        for wrong in [
            "",
            "h",
            "-2h",
            "2",
            "2w",
            "yesterday",
            "1970-13-01",
            "9999999999d",
            "2é",
        ] {
            check(wrong, None);
        }
        assert_eq!(span("36h"), Ok(Duration::from_secs(36 * 60 * 60)));
        assert!(span("1970-01-02").is_err());
        assert_eq!(shown(1_500), "1970-01-01T00:00:01.500Z");
    }
}
