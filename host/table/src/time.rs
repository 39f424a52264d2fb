//! Points in time as text. The second is cached: rows mostly come in the order of time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::decimal;

const SECOND: i64 = 1_000_000_000;

/// The length of `2026-11-23T14:04:05.123456789Z`.
pub(crate) const RFC3339_LEN: usize = 30;

/// The second that was converted last, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Second(Option<i64>);

impl Second {
    /// Nanoseconds into the cached second, when `wall` lies in it.
    #[inline(always)]
    fn fraction(self, wall: i64) -> Option<u32> {
        let into = wall.checked_sub(self.0?)?;
        (0..SECOND).contains(&into).then_some(into as u32)
    }
}

/// Seconds since 1970 and nanoseconds into the second.
fn split(wall: i128) -> (i64, u32) {
    let second = i128::from(SECOND);
    let seconds = wall.div_euclid(second);
    // Times are a u64 and an i64 added, so seconds always fit.
    (
        i64::try_from(seconds).unwrap_or_default(),
        wall.rem_euclid(second) as u32,
    )
}

/// Times in UTC as RFC 3339 with nine decimals.
#[derive(Clone, Debug)]
pub(crate) struct Utc {
    second: Second,
    /// 32 bytes so that it is copied at once; the first [`RFC3339_LEN`] count.
    text: [u8; 32],
}

impl Utc {
    pub(crate) fn new() -> Self {
        Self {
            second: Second(None),
            text: *b"0000-00-00T00:00:00.000000000Z  ",
        }
    }

    /// `wall`: nanoseconds since 1970. The first [`RFC3339_LEN`] bytes of the answer are the text.
    #[inline(always)]
    pub(crate) fn write(&mut self, wall: i128) -> [u8; 32] {
        let cached = i64::try_from(wall)
            .ok()
            .and_then(|wall| self.second.fraction(wall));
        let fraction = match cached {
            Some(fraction) => fraction,
            None => self.turn(wall),
        };
        let mut text = self.text;
        // Eight digits, then the ninth.
        let tenth = fraction / 10;
        if let Some(place) = text.get_mut(20..28) {
            place.copy_from_slice(&decimal::all_eight(tenth).to_le_bytes());
        }
        text[28] = b'0' + (fraction - tenth * 10) as u8;
        text
    }

    #[cold]
    fn turn(&mut self, wall: i128) -> u32 {
        let (seconds, fraction) = split(wall);
        self.second = Second(seconds.checked_mul(SECOND));
        let day = seconds.div_euclid(86_400);
        let of_day = seconds.rem_euclid(86_400) as u32;
        let (year, month, date) = civil(day);
        put_digits(&mut self.text, 0, 4, year);
        put_digits(&mut self.text, 5, 2, month);
        put_digits(&mut self.text, 8, 2, date);
        put_digits(&mut self.text, 11, 2, of_day / 3_600);
        put_digits(&mut self.text, 14, 2, of_day / 60 % 60);
        put_digits(&mut self.text, 17, 2, of_day % 60);
        fraction
    }
}

/// A point in time as RFC 3339 in UTC: nanoseconds of CLOCK_BOOTTIME, and what to add for the wall clock.
#[must_use]
pub fn rfc3339(boot_ns: u64, wall_offset: i64) -> String {
    let text = Utc::new().write(i128::from(boot_ns) + i128::from(wall_offset));
    text.iter()
        .take(RFC3339_LEN)
        .map(|byte| char::from(*byte))
        .collect()
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar.
///
/// Counts years from March, so that the leap day is the last of a year, in eras of 400 years.
/// The result is clamped to year 0, which no sum of a u64 and an i64 of nanoseconds comes near.
fn civil(day: i64) -> (u32, u32, u32) {
    const ERA: i64 = 146_097;
    let from_march_0 = day.saturating_add(719_468).max(0);
    let era = from_march_0 / ERA;
    let of_era = from_march_0 % ERA;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year.clamp(0, 9_999) as u32, month as u32, date as u32)
}

/// A time zone: the system's, or offsets that were taken from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(Offsets);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Offsets {
    Rules(TimeZone),
    /// From which second since 1970 on, how many seconds east of UTC; ascending.
    Listed(Vec<(i64, i32)>),
}

/// Most changes that are listed: of a zone that changes twice a year, those of a century.
const MOST_CHANGES: usize = 200;

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(Offsets::Rules(TimeZone::UTC));

    /// This machine's: `TZ`, then `/etc/localtime`, then UTC.
    #[must_use]
    pub fn of_host() -> Self {
        Self(Offsets::Rules(
            TimeZone::try_system().unwrap_or(TimeZone::UTC),
        ))
    }

    /// From offsets, as [`Zone::offsets`] gives them. Before the first its offset holds; without any it is UTC.
    #[must_use]
    pub fn of_offsets(mut offsets: Vec<(i64, i32)>) -> Self {
        offsets.sort_unstable_by_key(|(from, _)| *from);
        Self(Offsets::Listed(offsets))
    }

    /// Seconds east of UTC at a second since 1970.
    pub(crate) fn offset(&self, second: i64) -> i32 {
        match &self.0 {
            Offsets::Rules(zone) => Timestamp::from_second(second)
                .map(|time| zone.to_offset(time).seconds())
                .unwrap_or_default(),
            Offsets::Listed(offsets) => {
                let behind = offsets.partition_point(|(from, _)| *from <= second);
                let at = behind.saturating_sub(1);
                offsets.get(at).map_or(0, |(_, offset)| *offset)
            }
        }
    }

    /// The offsets between two seconds since 1970: the first entry is that of `from`, each other one a change. They are enough
    /// to make the zone again where its rules are not known or others.
    #[must_use]
    pub fn offsets(&self, from: i64, to: i64) -> Vec<(i64, i32)> {
        let mut offsets = vec![(from, self.offset(from))];
        match &self.0 {
            Offsets::Rules(zone) => {
                let Ok(start) = Timestamp::from_second(from) else {
                    return offsets;
                };
                let changes = zone.following(start).take(MOST_CHANGES);
                let changes = changes.map(|change| {
                    let offset = change.offset().seconds();
                    (change.timestamp().as_second(), offset)
                });
                offsets.extend(changes.take_while(|(second, _)| *second <= to));
            }
            Offsets::Listed(listed) => {
                let inside = listed.iter().filter(|(second, _)| *second > from);
                offsets.extend(inside.take_while(|(second, _)| *second <= to));
            }
        }
        offsets
    }
}

impl From<TimeZone> for Zone {
    fn from(zone: TimeZone) -> Self {
        Self(Offsets::Rules(zone))
    }
}

/// Times of day in a time zone, `15:04:05.123`.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    zone: Zone,
    second: Second,
    text: [u8; 12],
}

impl Local {
    pub(crate) fn new(zone: Zone) -> Self {
        Self {
            zone,
            second: Second(None),
            text: *b"00:00:00.000",
        }
    }

    /// Adds the time of day of `wall`, nanoseconds since 1970, cut to milliseconds.
    pub(crate) fn push(&mut self, wall: i128, out: &mut String) {
        let cached = i64::try_from(wall)
            .ok()
            .and_then(|wall| self.second.fraction(wall));
        let fraction = match cached {
            Some(fraction) => fraction,
            None => self.turn(wall),
        };
        put_digits(&mut self.text, 9, 3, fraction / 1_000_000);
        out.extend(self.text.map(char::from));
    }

    #[cold]
    fn turn(&mut self, wall: i128) -> u32 {
        let (seconds, fraction) = split(wall);
        self.second = Second(seconds.checked_mul(SECOND));
        let offset = self.zone.offset(seconds);
        let of_day = seconds.saturating_add(i64::from(offset)).rem_euclid(86_400) as u32;
        put_digits(&mut self.text, 0, 2, of_day / 3_600);
        put_digits(&mut self.text, 3, 2, of_day / 60 % 60);
        put_digits(&mut self.text, 6, 2, of_day % 60);
        fraction
    }
}

/// Writes the last `digits` digits of a number below 10^8 at `at`.
fn put_digits(text: &mut [u8], at: usize, digits: usize, value: u32) {
    let eight = decimal::all_eight(value).to_le_bytes();
    if let (Some(place), Some(last)) = (text.get_mut(at..at + digits), eight.get(8 - digits..)) {
        place.copy_from_slice(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz;
    use proptest::prelude::*;

    #[test]
    fn boot_time_and_offset_are_a_point_in_time() {
        assert_eq!(rfc3339(3_000_000_001, -1), "1970-01-01T00:00:03.000000000Z");
    }

    fn utc(wall: i128) -> String {
        String::from_utf8(Utc::new().write(wall)[..RFC3339_LEN].to_vec()).unwrap()
    }

    #[test]
    fn known_times() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(
            utc(1_795_442_645_123_456_789),
            "2026-11-23T14:04:05.123456789Z"
        );
        assert_eq!(
            utc(951_782_400_000_000_000),
            "2000-02-29T00:00:00.000000000Z"
        );
        let latest = i128::from(u64::MAX) + i128::from(i64::MAX);
        assert_eq!(utc(latest), "2846-10-30T23:21:50.564327422Z");
    }

    #[test]
    fn the_cached_second_turns_both_ways() {
        let mut clock = Utc::new();
        let mut text = |wall| String::from_utf8(clock.write(wall)[17..30].to_vec()).unwrap();
        assert_eq!(text(1_999_999_999), "01.999999999Z");
        assert_eq!(text(1_000_000_000), "01.000000000Z");
        assert_eq!(text(2_000_000_000), "02.000000000Z");
        assert_eq!(text(1_999_999_999), "01.999999999Z");
    }

    #[test]
    fn local_times_follow_the_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut clock = Local::new(berlin.into());
        let mut text = |wall: i128| {
            let mut out = String::new();
            clock.push(wall * 1_000_000, &mut out);
            out
        };
        assert_eq!(text(1_795_442_645_123), "15:04:05.123");
        // The last second of summer time in 2026 and the first of winter time.
        assert_eq!(text(1_792_889_999_999), "02:59:59.999");
        assert_eq!(text(1_792_890_000_000), "02:00:00.000");
        let mut out = String::new();
        Local::new(TimeZone::fixed(tz::offset(-5)).into()).push(-1, &mut out);
        assert_eq!(out, "18:59:59.999");
    }

    #[test]
    fn a_zone_is_made_again_from_its_offsets() {
        let berlin = Zone::from(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        let year = 366 * 86_400;
        let from = 1_795_442_645; // November 2026
        let offsets = berlin.offsets(from, from + 2 * year);
        assert_eq!(offsets.len(), 5, "{offsets:?}");
        assert_eq!(offsets[0], (from, 3_600));
        let again = Zone::of_offsets(offsets.clone());
        for second in (from..from + 2 * year).step_by(10_000) {
            assert_eq!(again.offset(second), berlin.offset(second), "{second}");
        }
        assert_eq!(again.offset(0), 3_600);
        assert_eq!(again.offsets(from, from + 2 * year), offsets);
        assert_eq!(Zone::of_offsets(Vec::new()).offset(0), 0);
        assert_eq!(Zone::UTC.offsets(0, i64::MAX), [(0, 0)]);
        assert_eq!(Zone::UTC.offsets(i64::MIN, i64::MAX), [(i64::MIN, 0)]);
    }

    proptest! {
        #[test]
        fn jiff_agrees(wall: i64) {
            let theirs = Timestamp::from_nanosecond(i128::from(wall)).unwrap();
            prop_assert_eq!(utc(i128::from(wall)), format!("{theirs:.9}"));
        }
    }
}
