//! The times and ids of files of runtimes.

/// Nanoseconds since 1970 of a time like `2026-11-23T19:20:35.873250058Z` or with `+01:00`; none if it is not one, or before.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok())?
    };
    let sign = |at: usize, sign: &str| text.get(at..at + 1) == Some(sign);
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if !separators
        .iter()
        .all(|(at, separator)| sign(*at, separator))
    {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1970..=2200).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest.split_at_checked(end)?
        }
        None => ("", rest),
    };
    let mut nanoseconds = 0;
    for place in 0..9 {
        let digit = fraction
            .as_bytes()
            .get(place)
            .map_or(0, |b| i64::from(b - b'0'));
        nanoseconds = nanoseconds * 10 + digit;
    }
    let offset = match zone.as_bytes() {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours: i64 = zone.get(1..3)?.parse().ok()?;
            let minutes: i64 = zone.get(4..6)?.parse().ok()?;
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    // Days since 1970, with years that begin in March: Howard Hinnant's days_from_civil.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_era = y % 400;
    let days =
        y / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day
            - 1
            - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let all = seconds
        .checked_mul(1_000_000_000)?
        .checked_add(nanoseconds)?;
    // Docker writes the year 1 for "never".
    (all > 0).then_some(all)
}

/// An id of an image, with the name of its hash in front.
pub(crate) fn with_algorithm(id: &str) -> String {
    if crate::cgroup_path::is_hash(id) {
        format!("sha256:{id}")
    } else {
        id.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_runtimes_are_nanoseconds_since_1970() {
        for (text, time) in [
            ("1970-01-01T00:00:00.000000001Z", Some(1)),
            ("2000-02-29T12:00:00Z", Some(951_825_600_000_000_000)),
            (
                "2026-11-23T19:20:35.873250058Z",
                Some(1_795_461_635_873_250_058),
            ),
            (
                "2026-11-23T20:20:35.87+01:00",
                Some(1_795_461_635_870_000_000),
            ),
            (
                "2026-11-23T14:20:35.87-05:00",
                Some(1_795_461_635_870_000_000),
            ),
            ("0001-01-01T00:00:00Z", None),
            ("2026-11-23", None),
            ("2026-13-23T19:20:35Z", None),
            ("2026-11-23T19:20:35.", None),
            ("2026-11-23T19:20:35+1:00", None),
            ("2026-11-2\u{e4}T19:20:35Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text), time, "{text}");
        }
    }
}
