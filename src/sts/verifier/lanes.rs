use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    bucket::{Bucket, Rate},
    limits::Limits,
};

/// How many known callers wait at most.
const KNOWN_QUEUE: usize = 1024;
/// How many strangers wait at most. kube-apiserver has one HTTP/2 connection, and each of its reviews that waits
/// holds one of the connection's streams (250): strangers, waiting and under way, must never hold them all.
const STRANGER_QUEUE: usize = 64;
/// Known callers go first, but not always: of so many that leave while both wait, one is a stranger.
const TURNS: u8 = 4;
/// How much each answer counts in the share of throttled ones; and from which share on there are fewer calls.
/// One answer alone is below it: it may be due to one account, of which many calls come from elsewhere.
const EACH_ANSWER: f64 = 1.0 / 16.0;
const THROTTLED: f64 = 0.1;

/// Whose call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Of credentials that somebody was let in with not long ago.
    Known,
    /// Of any others.
    Stranger,
}

impl Lane {
    pub(super) const ALL: [Self; 2] = [Self::Known, Self::Stranger];

    /// The metrics' label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Stranger => "stranger",
        }
    }
}

/// Which calls leave, and when: the bookkeeping alone, without clocks, locks or tasks.
///
/// `W` is whatever waits for its turn.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Lanes<W> {
    /// All calls.
    total: Bucket,
    /// Of those, strangers'.
    strangers: Bucket,
    slots: usize,
    stranger_slots: usize,
    known: Queue<W>,
    stranger: Queue<W>,
    /// Known callers that have left since the last stranger, while strangers waited.
    turns: u8,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    bound: usize,
    running: usize,
    /// Which part of the last answers was throttled.
    throttled: f64,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Waiting<W> {
    who: W,
    deadline: Instant,
}

/// What changes at a moment.
#[derive(Debug)]
pub(super) struct Turn<W> {
    /// Who leaves now.
    pub(super) leave: Vec<(Lane, W)>,
    /// When to look again, where nothing happens before.
    pub(super) next: Option<Instant>,
}

impl<W> Queue<W> {
    const fn new(bound: usize) -> Self {
        Self { waiting: VecDeque::new(), bound, running: 0, throttled: 0.0 }
    }
}

impl<W> Lanes<W> {
    /// Empty ones, with the whole burst to spend.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let rate = |part: f64| Rate {
            per_second: limits.rate.map(|rate| f64::from(rate.get()) * part),
            burst: (f64::from(limits.burst.get()) * part).max(1.0),
        };
        let slots = limits.concurrency.get();
        Self {
            total: Bucket::new(rate(1.0), now),
            strangers: Bucket::new(rate(0.5), now),
            slots,
            stranger_slots: (slots / 2).max(1),
            known: Queue::new(KNOWN_QUEUE),
            stranger: Queue::new(STRANGER_QUEUE),
            turns: 0,
        }
    }

    /// Has `who` wait for its turn, until `deadline` at most. Whoever calls has called [`Self::turn`] just before.
    ///
    /// # Errors
    /// How long the queue takes to empty, where it is full.
    pub(super) fn wait(
        &mut self,
        lane: Lane,
        who: W,
        deadline: Instant,
        now: Instant,
    ) -> Result<(), Duration> {
        let rate = match lane {
            Lane::Known => self.total.rate(now),
            Lane::Stranger => self.strangers.rate(now),
        };
        let queue = self.queue(lane);
        if queue.waiting.len() >= queue.bound {
            let length = f64::from(u32::try_from(queue.bound).unwrap_or(u32::MAX));
            return Err(Duration::from_secs_f64((length / rate).clamp(0.0, 60.0)));
        }
        queue.waiting.push_back(Waiting { who, deadline });
        Ok(())
    }

    /// Who leaves at `now`. Those whose deadline is over are dropped.
    pub(super) fn turn(&mut self, now: Instant) -> Turn<W> {
        for lane in Lane::ALL {
            let waiting = &mut self.queue(lane).waiting;
            while waiting.front().is_some_and(|first| first.deadline <= now) {
                waiting.pop_front();
            }
        }
        let mut leave = Vec::new();
        while let Some(lane) = self.next_lane(now) {
            let queue = self.queue(lane);
            let Some(first) = queue.waiting.pop_front() else { break };
            queue.running += 1;
            self.total.take();
            if lane == Lane::Stranger {
                self.strangers.take();
            }
            leave.push((lane, first.who));
        }
        Turn { leave, next: self.look_again(now) }
    }

    /// A call has ended; `throttled` is whether STS throttled it, where it answered.
    pub(super) fn ended(&mut self, lane: Lane, throttled: Option<bool>, now: Instant) {
        let queue = self.queue(lane);
        queue.running = queue.running.saturating_sub(1);
        let Some(throttled) = throttled else { return };
        queue.throttled += EACH_ANSWER * (f64::from(u8::from(throttled)) - queue.throttled);
        if throttled && queue.throttled > THROTTLED {
            // Strangers may bring accounts along that STS throttles for whatever else they do: that is nobody
            // else's loss.
            match lane {
                Lane::Known => self.total.cut(now),
                Lane::Stranger => self.strangers.cut(now),
            }
        }
    }

    /// How many wait and how many calls are under way.
    pub(super) fn load(&self, lane: Lane) -> (usize, usize) {
        let queue = match lane {
            Lane::Known => &self.known,
            Lane::Stranger => &self.stranger,
        };
        (queue.waiting.len(), queue.running)
    }

    /// Which part of the configured rate STS's throttling has left.
    pub(super) fn share(&self, lane: Lane, now: Instant) -> f64 {
        match lane {
            Lane::Known => self.total.share(now),
            Lane::Stranger => self.total.share(now) * self.strangers.share(now),
        }
    }

    const fn queue(&mut self, lane: Lane) -> &mut Queue<W> {
        match lane {
            Lane::Known => &mut self.known,
            Lane::Stranger => &mut self.stranger,
        }
    }

    /// Whether somebody waits in `lane` whom only the rate can hold back.
    fn has_slot(&self, lane: Lane, now: Instant) -> bool {
        // Where rates are not limited, this is what less means.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a small number"
        )]
        let left = |slots: usize, share: f64| ((slots as f64 * share) as usize).max(1);
        let slots = left(self.slots, self.total.share(now));
        let free = self.known.running + self.stranger.running < slots;
        match lane {
            Lane::Known => free && !self.known.waiting.is_empty(),
            Lane::Stranger => {
                let slots = left(self.stranger_slots, self.share(lane, now));
                free && self.stranger.running < slots && !self.stranger.waiting.is_empty()
            }
        }
    }

    fn next_lane(&mut self, now: Instant) -> Option<Lane> {
        if !self.total.has(now) {
            return None;
        }
        let known = self.has_slot(Lane::Known, now);
        let stranger = self.has_slot(Lane::Stranger, now) && self.strangers.has(now);
        match (known, stranger) {
            (true, true) if self.turns + 1 < TURNS => {
                self.turns += 1;
                Some(Lane::Known)
            }
            (_, true) => {
                self.turns = 0;
                Some(Lane::Stranger)
            }
            (true, false) => Some(Lane::Known),
            (false, false) => None,
        }
    }

    fn look_again(&mut self, now: Instant) -> Option<Instant> {
        let deadlines = Lane::ALL.map(|lane| self.queue(lane).waiting.front().map(|first| first.deadline));
        // Who lacks a slot is looked at when a call ends.
        let known = self.has_slot(Lane::Known, now).then(|| now + self.total.wait(now));
        let stranger = self
            .has_slot(Lane::Stranger, now)
            .then(|| now + self.total.wait(now).max(self.strangers.wait(now)));
        deadlines.into_iter().chain([known, stranger]).flatten().min()
    }
}

#[cfg(test)]
mod tests {
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
}
