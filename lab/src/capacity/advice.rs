use super::{
    Cluster, Forecast, Question, Settings,
    cluster::NODE_LEASE,
    model::{calls, comebacks, of_a_token},
};

/// How much of one CPU an arngate may take on a control-plane node before that is told.
const MANY_CORES: f64 = 1.0;
/// From which part of STS's quota on it is worth asking less.
const MUCH: f64 = 0.25;
/// The longest that an answer of STS can be believed: until its token's end.
const LONGEST_TTL: f64 = 900.0;
/// The largest `server.stsCacheSize`.
const LARGEST_CACHE: u32 = 1_000_000;

/// Whether it is enough, and what to do; the gravest first.
pub(super) fn of(question: &Question, forecast: &Forecast) -> Vec<String> {
    let advice: Vec<String> = [
        quota(question, forecast),
        limits(question, forecast),
        comeback(question, forecast),
        together(question),
        places(question, forecast),
        cores(question, forecast),
    ]
    .into_iter()
    .flatten()
    .collect();
    if advice.is_empty() {
        vec!["Enough: one arngate on each control-plane node, as it is set up.".to_owned()]
    } else {
        advice
    }
}

/// How often STS would be asked if it were believed as long as can be.
fn asked_least(question: &Question) -> f64 {
    let settings = Settings { sts_ttl: LONGEST_TTL, ..question.settings };
    calls(&Question { settings, ..*question }).sts
}

fn quota(question: &Question, forecast: &Forecast) -> Option<String> {
    let (asked, left) = (forecast.all.calls.sts, question.sts.left());
    let least = asked_least(question);
    let less = || {
        let Question { cluster, settings, .. } = question;
        let token = of_a_token(cluster, settings);
        format!(
            "STS is asked {} of the {} times that a node's token comes to the webhook in its life. With --sts-cache-ttl \
             {LONGEST_TTL} it is asked once, and {least:.0} calls a second are left; whoever loses their keys in IAM is \
             believed until their token ends, {:.0} minutes at most.",
            token.asked,
            token.reviews,
            LONGEST_TTL / 60.0
        )
    };
    if asked > left {
        let enough = if least <= left {
            less()
        } else {
            "Have nodes sign with the roles of several accounts, whose quotas are apart, or let them authenticate by \
             client certificates."
                .to_owned()
        };
        return Some(format!(
            "NOT ENOUGH: {asked:.0} STS calls a second, and the account has {left:.0} for them. More arngates do not \
             help, since the quota is the account's. {enough}"
        ));
    }
    (asked > MUCH * left && least < 0.9 * asked).then(|| {
        format!("{:.0} % of the account's STS calls go to arngate. {}", 100.0 * asked / left.max(1.0), less())
    })
}

fn limits(question: &Question, forecast: &Forecast) -> Option<String> {
    let qps = question.settings.qps?;
    let (each, alone) = (forecast.each.calls.sts, forecast.alone.calls.sts);
    let advice = "Set --sts-qps to twice that, as far as the account's quota goes.";
    if each > qps {
        return Some(format!(
            "NOT ENOUGH: each arngate has to ask STS {each:.0} times a second, and asks {qps:.0} times at most. {advice}"
        ));
    }
    (alone > qps).then(|| {
        format!(
            "One arngate alone would have to ask STS {alone:.0} times a second, and asks {qps:.0} times at most: while \
             the others are away, reviews are told to come again. {advice}"
        )
    })
}

fn comeback(question: &Question, forecast: &Forecast) -> Option<String> {
    let slow = forecast
        .comebacks
        .iter()
        .filter(|comeback| comeback.seconds.is_none_or(|seconds| seconds > NODE_LEASE))
        .max_by(|a, b| a.seconds.unwrap_or(f64::MAX).total_cmp(&b.seconds.unwrap_or(f64::MAX)))?;
    let Some(seconds) = slow.seconds else {
        return Some("NOT ENOUGH: the account has no STS calls left for arngate at all.".to_owned());
    };
    let arngates = f64::from(question.cluster.apiservers.get());
    // A burst of one second, and the rest within the lease.
    let needed = (2.0 * slow.sts_calls / NODE_LEASE).ceil();
    let has_room = needed / 2.0 * arngates <= question.sts.left();
    let what = if has_room && question.settings.qps.is_some() {
        format!("--sts-qps {needed:.0} makes it {NODE_LEASE} s.")
    } else {
        "It is the account's STS quota that bounds it: restart control-plane nodes one by one, so that the others' \
         clients stay."
            .to_owned()
    };
    Some(format!(
        "When everybody comes back at once ({}), it takes {seconds:.0} s until all have been let in: longer than a \
         node's lease ({NODE_LEASE} s), so that nodes are marked NotReady meanwhile. {what}",
        slow.after
    ))
}

fn together(question: &Question) -> Option<String> {
    let arngates = f64::from(question.cluster.apiservers.get());
    let (qps, left) = (question.settings.qps?, question.sts.left());
    let all = qps * arngates;
    let Cluster { nodes, people, .. } = question.cluster;
    // So few never ask for more than that at once.
    let ever = f64::from(nodes) + f64::from(people);
    if all <= left || ever <= left {
        return None;
    }
    let part = (left / arngates).floor().max(1.0);
    let settings = Settings { qps: Some(part), burst: part, ..question.settings };
    let [.., strangers] = comebacks(&Question { settings, ..*question });
    let seconds = strangers.seconds.map_or("ever".to_owned(), |seconds| format!("{seconds:.0} s"));
    Some(format!(
        "All arngates together may ask STS {all:.0} times a second, and the account has {left:.0}: beyond that STS \
         throttles until each arngate has slowed down, which each does by itself. Where the account's other programs \
         must not feel it, --sts-qps {part:.0} --sts-burst {part:.0} keeps all of them below it; when nobody is known, \
         everybody is let in within {seconds} then."
    ))
}

fn places(question: &Question, forecast: &Forecast) -> Option<String> {
    let everybody = u64::from(question.cluster.nodes) + u64::from(question.cluster.people);
    let places = u64::from(question.settings.cache_size);
    let size =
        u32::try_from(everybody).unwrap_or(u32::MAX).checked_next_power_of_two().unwrap_or(LARGEST_CACHE);
    (everybody > places && question.settings.sts_ttl > 0.0).then(|| {
        let more = f64::from(size.min(LARGEST_CACHE)) - f64::from(question.settings.cache_size);
        let more = more * question.costs.remembered_bytes / 1_048_576.0;
        format!(
            "{everybody} callers may come to one arngate, which knows {places}: the others wait with strangers when \
             everybody comes back, and STS is asked about their tokens anew. --sts-cache-size {} knows all, and takes \
             {more:.0} MiB more than the {:.0} MiB that it has.",
            size.min(LARGEST_CACHE),
            forecast.memory.in_force / 1_048_576.0
        )
    })
}

fn cores(question: &Question, forecast: &Forecast) -> Option<String> {
    let alone = forecast.alone.cores;
    let enough = (alone / MANY_CORES).ceil();
    (alone > MANY_CORES).then(|| {
        format!(
            "One arngate alone would take {alone:.1} CPUs. Nothing is shared between arngates: {enough:.0} \
             control-plane nodes, each with its own, take at most one each; there are {}.",
            question.cluster.apiservers
        )
    })
}
