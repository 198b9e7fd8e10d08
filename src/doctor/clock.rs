//! This machine's clock, held against STS's.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use super::Check;
use crate::token;

/// From how far on a difference is odd: clocks that are kept differ by milliseconds, and the header has whole seconds.
const ODD: SignedDuration = SignedDuration::from_secs(30);
const NAME: &str = "clock";

/// How far this machine's clock is ahead of one that said `date` between `sent` and `received`; behind where it is
/// negative. `None` where `date` is no date of HTTP's.
pub(super) fn ahead(date: &str, sent: Timestamp, received: Timestamp) -> Option<SignedDuration> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let middle = sent + received.duration_since(sent) / 2;
    // The header leaves out what is beyond the second.
    Some(middle.duration_since(date) - SignedDuration::from_millis(500))
}

/// What such a difference means.
pub(super) fn judge(ahead: SignedDuration) -> Check {
    const ADVICE: &str = "set the clock by NTP (chrony, systemd-timesyncd); on EC2, by 169.254.169.123";
    let (difference, way) = (ahead.abs(), if ahead.is_negative() { "behind" } else { "ahead of" });
    let told = format!("{} s {way} STS's", difference.as_secs());
    let (tolerated, lifetime) = (token::MAX_AHEAD, token::LIFETIME);
    if difference <= ODD {
        return Check::ok(NAME, format!("within {} s of STS's", ODD.as_secs()));
    }
    let consequence = if ahead.is_negative() {
        format!("a token that is signed more than {} min ahead is refused", tolerated.as_mins())
    } else {
        format!(
            "a token counts as expired {} min after it was signed, and here that is so much sooner, while clients keep \
             one for 14 min",
            lifetime.as_mins()
        )
    };
    if difference > tolerated {
        Check::fail(NAME, format!("{told}: {consequence}"), ADVICE)
    } else {
        Check::warn(NAME, format!("{told}: {consequence}"), ADVICE)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Status, *};

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_middle_of_the_exchange_is_held_against_the_header() {
        let (sent, received) = (time("2026-01-02T03:04:05.2Z"), time("2026-01-02T03:04:05.8Z"));
        assert_eq!(ahead("Fri, 02 Jan 2026 03:04:05 GMT", sent, received), Some(SignedDuration::ZERO));
        let behind = ahead("Fri, 02 Jan 2026 03:14:05 GMT", sent, received);
        assert_eq!(behind, Some(SignedDuration::from_mins(-10)));
        for date in ["", "now", "2026-01-02T03:04:05Z"] {
            assert_eq!(ahead(date, sent, received), None, "{date}");
        }
    }

    #[test]
    fn a_difference_is_odd_from_half_a_minute_on_and_wrong_beyond_what_tokens_may_have() {
        for (seconds, status, told) in [
            (0, Status::Ok, "within 30 s"),
            (-30, Status::Ok, "within 30 s"),
            (31, Status::Warn, "31 s ahead of STS's: a token counts as expired 15 min"),
            (-300, Status::Warn, "300 s behind STS's: a token that is signed more than 5 min ahead"),
            (301, Status::Fail, "301 s ahead"),
            (-301, Status::Fail, "301 s behind"),
        ] {
            let check = judge(SignedDuration::from_secs(seconds));
            assert!(check.status == status && check.found.contains(told), "{seconds}: {check:?}");
        }
    }
}
