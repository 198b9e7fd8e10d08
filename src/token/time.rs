use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// `yyyymmddThhmmssZ`, and a moment that the calendar has.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i16> {
        bytes.get(from..to)?.iter().try_fold(0_i16, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i16::from(byte - b'0'))
        })
    };
    let small = |from: usize| number(from, from + 2).and_then(|number| i8::try_from(number).ok());
    let moment =
        DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0).ok()?;
    Offset::UTC.to_timestamp(moment).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_the_calendar_has() {
        assert_eq!(parse("20260101T000000Z"), "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(parse("20240229T235959Z"), "2024-02-29T23:59:59Z".parse().ok());
        for text in [
            "",
            "2026-01-01T00:00:00Z",
            "20260101t000000z",
            "20260101T000000",
            "20260101T000000+0",
            "20261301T000000Z",
            "20260230T000000Z",
            "20260101T240000Z",
            "20260101T000060Z",
            "2026010１T000000Z",
            "-0260101T000000Z",
            " 0260101T000000Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
