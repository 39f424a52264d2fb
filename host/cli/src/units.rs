//! Numbers with units on the command line: `500ms`, `2s`, `1m`; `65536`, `64KiB`, `4MiB`.

use std::time::Duration;

/// A length of time; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!(
            "`{text}` is no length of time; write a number with ns, us, ms, s, m or h, such as 500ms or 10s"
        )
    };
    let (number, unit) = split(text);
    let value: f64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "ns" => value / 1e9,
        "us" => value / 1e6,
        "ms" => value / 1e3,
        "" | "s" => value,
        "m" => value * 60.0,
        "h" => value * 3600.0,
        _ => return Err(bad()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// A number of bytes; K, M and G are powers of 1024, with or without `iB` or `B`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let bad = || {
        format!(
            "`{text}` is no number of bytes; write a whole number with K, M or G (1024 each), such as 4M or 64KiB"
        )
    };
    let (number, unit) = split(text);
    let value: u64 = number.parse().map_err(|_| bad())?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" | "KB" => 1 << 10,
        "M" | "MiB" | "MB" => 1 << 20,
        "G" | "GiB" | "GB" => 1 << 30,
        _ => return Err(bad()),
    };
    value.checked_mul(factor).ok_or_else(bad)
}

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "-1s", "1 s", "1w", "1e400h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_of_bytes() {
        assert_eq!(bytes("65536"), Ok(65536));
        assert_eq!(bytes("4M"), Ok(4 << 20));
        assert_eq!(bytes("64KiB"), Ok(64 << 10));
        for bad in ["", "M", "-1", "1.5M", "4T", "99999999999999G"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
