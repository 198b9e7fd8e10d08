#[cfg(test)]
mod tests;

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
