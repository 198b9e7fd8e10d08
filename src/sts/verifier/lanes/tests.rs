use proptest::prelude::*;

use super::*;

fn limits(rate: u32, burst: u32, concurrency: usize) -> Limits {
    Limits {
        rate: rate.try_into().ok(),
        burst: burst.try_into().unwrap(),
        concurrency: concurrency.try_into().unwrap(),
        ..Limits::default()
    }
}

fn lanes(rate: u32, burst: u32, concurrency: usize) -> (Lanes<u32>, Instant) {
    let now = Instant::now();
    (Lanes::new(&limits(rate, burst, concurrency), now), now)
}

const SECOND: Duration = Duration::from_secs(1);
use Lane::{Known, Stranger};

fn left(turn: &Turn<u32>) -> Vec<u32> {
    turn.leave.iter().map(|(_, who)| *who).collect()
}

#[test]
fn strangers_leave_half_of_everything_to_those_who_are_known() {
    let (mut lanes, now) = lanes(10, 20, 8);
    for who in 0..20 {
        lanes.wait(Stranger, who, now + SECOND, now).unwrap();
    }
    assert_eq!(left(&lanes.turn(now)), [0, 1, 2, 3], "half of the slots");
    for who in 100..104 {
        lanes.wait(Known, who, now + SECOND, now).unwrap();
    }
    assert_eq!(left(&lanes.turn(now)), [100, 101, 102, 103], "the other half");
    for _ in 0..4 {
        lanes.ended(Stranger, Some(false), now);
    }
    assert_eq!(left(&lanes.turn(now)), [4, 5, 6, 7]);
    for _ in 0..4 {
        lanes.ended(Stranger, Some(false), now);
    }
    assert_eq!(left(&lanes.turn(now)), [8, 9], "half of the burst");
}

#[test]
fn a_flood_of_strangers_delays_nobody_who_is_known() {
    let (mut lanes, mut now) = lanes(100, 100, 64);
    let mut shed = 0;
    for step in 0..1000 {
        now += Duration::from_millis(10);
        for who in 0..100 {
            lanes.turn(now);
            shed += u32::from(lanes.wait(Stranger, who, now + SECOND, now).is_err());
        }
        for (lane, _) in lanes.turn(now).leave {
            lanes.ended(lane, Some(false), now);
        }
        if step % 3 == 0 {
            lanes.wait(Known, 1000, now + SECOND, now).unwrap();
            let turn = lanes.turn(now);
            assert!(left(&turn).contains(&1000), "at once, in step {step}");
            for (lane, _) in turn.leave {
                lanes.ended(lane, Some(false), now);
            }
        }
    }
    assert!(shed > 90_000, "{shed} of 100,000");
}

#[test]
fn strangers_are_not_starved_either() {
    let (mut lanes, now) = lanes(0, 1, 1);
    for who in 0..40 {
        lanes.wait(Known, who, now + SECOND, now).unwrap();
    }
    for who in 100..102 {
        lanes.wait(Stranger, who, now + SECOND, now).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        for (lane, who) in lanes.turn(now).leave {
            order.push(who);
            lanes.ended(lane, None, now);
        }
    }
    assert_eq!(order, [0, 1, 2, 100, 3, 4, 5, 101]);
}

#[test]
fn who_waits_too_long_is_dropped_and_a_full_queue_takes_nobody() {
    let (mut lanes, now) = lanes(10, 1, 8);
    lanes.wait(Stranger, 0, now + SECOND, now).unwrap();
    assert_eq!(left(&lanes.turn(now)), [0]);
    for who in 0..64 {
        lanes.wait(Stranger, who, now + SECOND, now).unwrap();
    }
    let wait = lanes.wait(Stranger, 64, now + SECOND, now).unwrap_err();
    assert_eq!(wait, Duration::from_secs_f64(64.0 / 5.0), "64 callers at five a second");
    assert!(lanes.turn(now).leave.is_empty());
    assert_eq!(left(&lanes.turn(now + SECOND)), [] as [u32; 0], "all of their deadlines are over");
    assert_eq!(lanes.load(Stranger), (0, 1));
}

#[test]
fn throttling_slows_the_lane_that_met_it_and_one_throttled_answer_nobody() {
    let (mut lanes, now) = lanes(100, 100, 64);
    lanes.ended(Known, Some(true), now);
    assert!((lanes.share(Known, now) - 1.0).abs() < 1e-9);
    lanes.ended(Stranger, Some(true), now);
    lanes.ended(Stranger, Some(true), now);
    assert!((lanes.share(Stranger, now) - 0.7).abs() < 1e-9);
    assert!((lanes.share(Known, now) - 1.0).abs() < 1e-9, "strangers' accounts are theirs alone");
    lanes.ended(Known, Some(true), now);
    assert!((lanes.share(Known, now) - 0.7).abs() < 1e-9);
    assert!((lanes.share(Known, now + 6 * SECOND) - 1.0).abs() < 1e-9, "and it comes back");
}

#[test]
fn without_a_rate_throttling_leaves_fewer_at_once() {
    let (mut lanes, now) = lanes(0, 1, 10);
    for _ in 0..3 {
        lanes.ended(Known, Some(true), now);
    }
    for who in 0..20 {
        lanes.wait(Known, who, now + SECOND, now).unwrap();
    }
    assert_eq!(lanes.turn(now).leave.len(), 7);
}

#[derive(Debug, Clone)]
enum Step {
    Arrive(Lane),
    Pass(u64),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(Step::Arrive(Known)), Just(Step::Arrive(Stranger))],
        2 => (0_u64..200).prop_map(Step::Pass),
        2 => Just(Step::End),
    ]
}

proptest! {
    /// Whatever happens when: the limits hold, nobody is overtaken in their lane, and everybody who waits
    /// leaves or is dropped at the deadline. `next` never sleeps through somebody's turn.
    #[test]
    fn limits_hold_and_nobody_is_forgotten(
        rate in 0_u32..50, burst in 1_u32..20, concurrency in 1_usize..12,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let (mut lanes, start) = lanes(rate, burst, concurrency);
        let mut now = start;
        let mut waiting: [VecDeque<(u32, Instant)>; 2] = [VecDeque::new(), VecDeque::new()];
        let mut running: Vec<Lane> = Vec::new();
        let mut calls: [Vec<Instant>; 2] = [Vec::new(), Vec::new()];
        for (who, step) in (0..).zip(steps) {
            match step {
                Step::Arrive(lane) => {
                    lanes.wait(lane, who, now + SECOND, now).unwrap();
                    waiting[lane as usize].push_back((who, now + SECOND));
                }
                Step::Pass(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::End => if let Some(lane) = running.pop() {
                    lanes.ended(lane, Some(false), now);
                },
            }
            let turn = lanes.turn(now);
            for queue in &mut waiting {
                queue.retain(|(_, deadline)| *deadline > now);
            }
            for (lane, who) in turn.leave {
                prop_assert_eq!(waiting[lane as usize].pop_front().map(|(who, _)| who), Some(who));
                running.push(lane);
                calls[lane as usize].push(now);
            }
            for lane in Lane::ALL {
                prop_assert_eq!(lanes.load(lane).0, waiting[lane as usize].len());
            }
            prop_assert!(running.len() <= concurrency);
            let strangers = running.iter().filter(|lane| **lane == Stranger).count();
            prop_assert!(strangers <= (concurrency / 2).max(1));
            let elapsed = (now - start).as_secs_f64();
            if rate > 0 {
                let count = |calls: usize| f64::from(u32::try_from(calls).unwrap());
                let total = calls[0].len() + calls[1].len();
                let most = |part: f64| (f64::from(burst) * part).max(1.0) + f64::from(rate) * part * elapsed;
                prop_assert!(count(total) <= most(1.0) + 1e-6);
                prop_assert!(count(calls[1].len()) <= most(0.5) + 1e-6);
            }
            if waiting.iter().any(|queue| !queue.is_empty()) {
                let next = turn.next.expect("somebody waits");
                prop_assert!(next > now);
                if next - now > Duration::from_millis(4) {
                    let early = lanes.clone().turn(next - Duration::from_millis(3));
                    prop_assert!(early.leave.is_empty(), "{:?} would have been forgotten", early.leave);
                }
            }
        }
    }
}
