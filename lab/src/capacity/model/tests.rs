use proptest::prelude::*;

use super::*;

fn question(nodes: u32, people: u32, apiservers: u32) -> Question {
    let apiservers = apiservers.try_into().unwrap();
    Question { cluster: Cluster { nodes, people, apiservers, ..Cluster::default() }, ..Question::default() }
}

#[test]
fn a_nodes_token_comes_every_two_minutes_and_goes_on_to_sts_every_time() {
    let token = of_a_token(&Cluster::default(), &Settings::default());
    // 14 minutes of 2 minutes; arngate believes STS for one, so that none of them is remembered.
    assert_eq!((token.reviews, token.asked), (7.0, 7.0));
}

#[test]
fn what_sts_said_is_believed_over_as_many_reviews_as_come_meanwhile() {
    for (webhook_ttl, sts_ttl, reviews, asked) in [
        // No less than ten seconds: 84 reviews, six by one answer.
        (0.0, 60.0, 84.0, 14.0),
        (10.0, 60.0, 84.0, 14.0),
        (50.0, 60.0, 17.0, 9.0),
        // One that comes at the very moment when an answer is too old is not remembered.
        (60.0, 60.0, 14.0, 14.0),
        (120.0, 121.0, 7.0, 4.0),
        (120.0, 900.0, 7.0, 1.0),
        (120.0, 0.0, 7.0, 7.0),
        (1000.0, 60.0, 1.0, 1.0),
    ] {
        let cluster = Cluster { webhook_ttl, ..Cluster::default() };
        let settings = Settings { sts_ttl, ..Settings::default() };
        let token = of_a_token(&cluster, &settings);
        assert_eq!((token.reviews, token.asked), (reviews, asked), "{webhook_ttl} {sts_ttl}");
    }
}

#[test]
fn a_node_that_pauses_asks_as_much_later() {
    let cluster = Cluster { node_pause: 5.0, webhook_ttl: 30.0, token_lifetime: 350.0, ..Cluster::default() };
    assert_eq!(Some(of_a_token(&cluster, &Settings::default()).reviews), Some(10.0));
}

#[test]
fn five_thousand_nodes_are_forty_two_calls_a_second() {
    let forecast = forecast(&question(5_000, 0, 3));
    assert!((forecast.all.calls.webhook - 5_000.0 / 120.0).abs() < 1e-9, "{:?}", forecast.all);
    assert!((forecast.each.calls.sts * 3.0 - forecast.all.calls.sts).abs() < 1e-9);
    assert_eq!(forecast.alone, forecast.all);
}

#[test]
fn every_command_is_a_token_of_its_own() {
    let forecast = forecast(&question(0, 600, 1));
    assert!((forecast.all.calls.webhook - 10.0).abs() < 1e-9 && forecast.all.calls.sts >= 10.0);
    // Two bursts of five a second: in one second of two hundred there are more than six.
    assert!((forecast.busiest_second - 30.0).abs() < 1e-9, "{}", forecast.busiest_second);
}

#[test]
fn a_poisson_process_has_the_quantiles_of_the_tables() {
    for (mean, quantile) in [(0.0, 0.0), (0.01, 0.0), (0.02, 1.0), (1.0, 4.0), (10.0, 18.0), (100.0, 124.0)] {
        assert_eq!(Some(poisson_quantile(mean, 0.99)), Some(quantile), "{mean}");
    }
    // Where the two ways meet, they agree.
    let (exact, normal) = (poisson_quantile(500.0, 0.99), poisson_quantile(500.1, 0.99));
    assert!((exact - normal).abs() <= 1.0, "{exact} {normal}");
}

#[test]
fn strangers_come_back_at_half_of_the_rate() {
    let [known, strangers] = forecast(&question(15_000, 0, 3)).comebacks;
    // 5,000 each: 500 at once, and 250 a second.
    assert_eq!((strangers.reviews, strangers.sts_calls), (5_000.0, 5_000.0));
    let by_rate = (5_000.0 - 500.0) / 250.0;
    let by_quota = 15_000.0 / 600.0;
    assert!(by_quota > by_rate);
    assert_eq!((strangers.seconds, strangers.limit), (Some(by_quota), Limit::Quota));
    // An answer is believed for half of the time between two reviews: half of the tokens are remembered.
    assert!((known.sts_calls - 2_500.0).abs() < 1e-9, "{known:?}");
    assert_eq!(Some(strangers.first_second), Some(2_250.0));

    let alone = Question { sts: Sts { quota: 10_000.0, ..Sts::default() }, ..question(5_000, 0, 1) };
    let [_, strangers] = forecast(&alone).comebacks;
    assert_eq!((strangers.seconds, strangers.limit), (Some(by_rate), Limit::Rate));
}

#[test]
fn a_slow_sts_holds_up_as_many_as_may_be_under_way() {
    let question = Question {
        sts: Sts { quota: 1e9, latency: 2.0, ..Sts::default() },
        settings: Settings { qps: None, ..Settings::default() },
        ..question(6_400, 0, 1)
    };
    let [_, strangers] = forecast(&question).comebacks;
    assert_eq!((strangers.seconds, strangers.limit), (Some(100.0), Limit::Concurrency));
}

#[test]
fn a_few_come_back_at_once() {
    for comeback in forecast(&question(100, 10, 1)).comebacks {
        assert_eq!(comeback.limit, Limit::Nothing);
    }
}

#[test]
fn what_is_enough_is_told_and_what_is_not() {
    let advice = |question: &Question| forecast(question).advice.join("\n");
    assert!(advice(&question(100, 10, 3)).starts_with("Enough"));
    let many = question(100_000, 0, 5);
    assert!(advice(&many).contains("NOT ENOUGH: 833 STS calls"), "{}", advice(&many));
    assert!(advice(&many).contains("--sts-cache-ttl 900"));
    let none_left = Question { sts: Sts { others: 600.0, ..Sts::default() }, ..question(10, 0, 1) };
    assert!(advice(&none_left).contains("no STS calls left"), "{}", advice(&none_left));
    let three = question(15_000, 0, 3);
    // At a sixth of the quota for each: 100 at once, and 100 a second of 5,000.
    assert!(advice(&three).contains("--sts-qps 200 --sts-burst 200"), "{}", advice(&three));
    assert!(advice(&three).contains("let in within 49 s"), "{}", advice(&three));
    let one = question(15_000, 0, 1);
    assert!(advice(&one).contains("longer than a node's lease"), "{}", advice(&one));
    assert!(advice(&one).contains("--sts-cache-size 16384"), "{}", advice(&one));
    let dear = Costs { asked_ms: 100.0, ..Costs::default() };
    assert!(advice(&Question { costs: dear, ..question(5_000, 0, 3) }).contains("5 control-plane nodes"));
}

#[test]
fn the_advice_that_is_given_helps() {
    let slow = Question { sts: Sts { quota: 10_000.0, ..Sts::default() }, ..question(15_000, 0, 1) };
    let advice = forecast(&slow).advice.join("\n");
    let qps: f64 = advice
        .split("--sts-qps ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{advice}"));
    let settings = Settings { qps: Some(qps), ..Settings::default() };
    for comeback in forecast(&Question { settings, ..slow }).comebacks {
        assert!(comeback.seconds.unwrap() <= super::super::cluster::NODE_LEASE, "{comeback:?}");
    }
}

/// Any question that makes sense.
fn any_question() -> impl Strategy<Value = Question> {
    let cluster = (0..20_000_u32, 0..2_000_u32, 1..9_u32, 0..1_200_u32, 60..900_u32, 0..100_000_u32);
    let settings = (0..901_u32, 1..100_000_u32, prop::option::of(1..5_000_u32), 1..5_000_u32, 1..4_096_u32);
    (cluster, settings, 1..2_000_u32, 0..500_u32).prop_map(|(cluster, settings, quota, latency)| {
        let (nodes, people, apiservers, webhook_ttl, token_lifetime, mappings) = cluster;
        let (sts_ttl, cache_size, qps, burst, concurrency) = settings;
        Question {
            cluster: Cluster {
                nodes,
                people,
                apiservers: apiservers.try_into().unwrap(),
                webhook_ttl: webhook_ttl.into(),
                token_lifetime: token_lifetime.into(),
                mappings,
                ..Cluster::default()
            },
            settings: Settings {
                sts_ttl: sts_ttl.into(),
                cache_size,
                qps: qps.map(f64::from),
                burst: burst.into(),
                concurrency: concurrency.into(),
            },
            sts: Sts { quota: quota.into(), latency: f64::from(latency) / 1000.0, ..Sts::default() },
            costs: Costs::default(),
        }
    })
}

/// At most, but for rounding.
fn at_most(less: f64, more: f64) -> bool {
    less <= more * (1.0 + 1e-9) + 1e-9
}

fn seconds(forecast: &Forecast) -> [f64; 2] {
    forecast.comebacks.map(|comeback| comeback.seconds.unwrap_or(f64::INFINITY))
}

proptest! {
    #[test]
    fn sts_is_asked_no_more_often_than_the_webhook(question in any_question()) {
        let Calls { webhook, sts, .. } = calls(&question);
        prop_assert!(at_most(sts, webhook) && sts >= 0.0, "{sts} {webhook}");
    }

    #[test]
    fn more_nodes_or_people_never_need_less(question in any_question(), nodes in 0..5_000_u32, people in 0..500_u32) {
        let mut more = question;
        more.cluster.nodes += nodes;
        more.cluster.people += people;
        let (less, more) = (forecast(&question), forecast(&more));
        for (less, more) in [(less.all, more.all), (less.each, more.each), (less.alone, more.alone)] {
            prop_assert!(at_most(less.calls.webhook, more.calls.webhook));
            prop_assert!(at_most(less.calls.sts, more.calls.sts));
            prop_assert!(at_most(less.cores, more.cores));
        }
        for (less, more) in seconds(&less).into_iter().zip(seconds(&more)) {
            prop_assert!(at_most(less, more), "{less} {more}");
        }
        prop_assert!(at_most(less.busiest_second, more.busiest_second));
    }

    #[test]
    fn more_mappings_or_places_never_take_less_memory(question in any_question(), more_of in 0..50_000_u32) {
        for change in [|q: &mut Question, by| q.cluster.mappings += by, |q: &mut Question, by| q.settings.cache_size += by] {
            let mut more = question;
            change(&mut more, more_of);
            let (less, more) = (forecast(&question).memory, forecast(&more).memory);
            prop_assert!(at_most(less.in_force, more.in_force) && at_most(less.while_reloading, more.while_reloading));
            prop_assert!(at_most(less.in_force, less.while_reloading));
        }
    }

    #[test]
    fn to_believe_longer_never_asks_more(question in any_question(), longer in 0..900_u32) {
        let mut webhook = question;
        webhook.cluster.webhook_ttl += f64::from(longer);
        prop_assert!(at_most(calls(&webhook).webhook, calls(&question).webhook));
        let mut sts = question;
        sts.settings.sts_ttl += f64::from(longer);
        prop_assert!(at_most(calls(&sts).sts, calls(&question).sts));
        prop_assert!(at_most(calls(&question).webhook, calls(&sts).webhook), "the webhook is asked as often");
    }

    #[test]
    fn more_control_plane_nodes_share_what_comes_and_ask_sts_no_less(question in any_question(), more in 1..5_u32) {
        let mut wider = question;
        wider.cluster.apiservers = wider.cluster.apiservers.saturating_add(more);
        let (few, many) = (forecast(&question), forecast(&wider));
        prop_assert_eq!(few.all, many.all);
        prop_assert!(at_most(many.each.cores, few.each.cores));
        prop_assert!(at_most(few.comebacks[1].first_second, many.comebacks[1].first_second));
    }

    #[test]
    fn who_is_known_comes_back_no_later_than_a_stranger(question in any_question()) {
        let [known, stranger] = seconds(&forecast(&question));
        prop_assert!(at_most(known, stranger), "{known} {stranger}");
    }

    #[test]
    fn higher_limits_never_take_longer(question in any_question(), by in 1..1_000_u32) {
        let by = f64::from(by);
        for change in [
            |q: &mut Question, by| q.settings.qps = q.settings.qps.map(|qps| qps + by),
            |q: &mut Question, by| q.settings.burst += by,
            |q: &mut Question, by| q.settings.concurrency += by,
            |q: &mut Question, by| q.sts.quota += by,
        ] {
            let mut higher = question;
            change(&mut higher, by);
            for (low, high) in seconds(&forecast(&question)).into_iter().zip(seconds(&forecast(&higher))) {
                prop_assert!(at_most(high, low), "{high} {low}");
            }
        }
    }
}
