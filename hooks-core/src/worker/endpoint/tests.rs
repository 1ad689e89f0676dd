use super::*;

fn error(class: FailureClass, retry_after: Option<u64>) -> DeliveryError {
    DeliveryError::new(class, "test").retry_after(retry_after.map(Duration::from_secs))
}

#[test]
fn waits_double_up_to_the_limit() {
    let policy = RetryPolicy::default();
    let waits: Vec<u64> = (1..=12).map(|failures| backoff(&policy, failures, 1.0).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(backoff(&policy, u32::MAX, 1.0).as_secs(), 300);
    assert_eq!(backoff(&policy, 3, 0.0), Duration::ZERO);
}

#[test]
fn a_schedule_says_how_long_to_wait_and_its_last_wait_is_repeated() {
    let waits = ["10s", "1m", "1h"].map(|wait| wait.parse().unwrap());
    let policy = RetryPolicy::default().schedule(waits.to_vec());
    for jitter in [0.0, 0.5, 1.0] {
        let waits: Vec<u64> = (1..=5).map(|failures| backoff(&policy, failures, jitter).as_secs()).collect();
        assert_eq!(waits, [10, 60, 3_600, 3_600, 3_600]);
    }
}

#[test]
fn nothing_but_failures_for_a_time_disables() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let fail = |endpoint: &mut EndpointHealth, seconds| {
        endpoint.fail(at(seconds), at(seconds), &error(FailureClass::Retry, None), 1.0)
    };
    let new =
        || EndpointHealth { disable_after: Some(Duration::from_secs(60)), ..EndpointHealth::new(Arc::default(), true) };

    let mut endpoint = new();
    fail(&mut endpoint, 0);
    fail(&mut endpoint, 59);
    endpoint.accept(at(59));
    fail(&mut endpoint, 60);
    endpoint.refuse("no", at(119));
    assert_ne!(endpoint.state(), EndpointState::Disabled, "something was accepted within the time");
    let mut next = new();
    next.continue_from(&endpoint);
    for mut endpoint in [endpoint, next] {
        endpoint.refuse("no", at(120));
        assert_eq!((endpoint.state(), endpoint.disabled_by()), (EndpointState::Disabled, DisabledBy::Failures));
        assert_eq!(endpoint.last_error(), Some("nothing but failures for 1m: no"));
        let mut enabled = new();
        enabled.continue_from(&endpoint);
        fail(&mut enabled, 200);
        assert_eq!(enabled.state(), EndpointState::BackingOff, "one that was enabled again begins anew");
    }

    let mut without = EndpointHealth::new(Arc::default(), true);
    fail(&mut without, 0);
    fail(&mut without, 1 << 30);
    assert_eq!(without.state(), EndpointState::BackingOff);
}

#[test]
fn retry_after_only_lengthens_and_is_clamped() {
    let now = Instant::now();
    let wait = |class, retry_after| {
        let mut endpoint = EndpointHealth::new(Arc::default(), true);
        endpoint.fail(now, now, &error(class, retry_after), 1.0);
        (endpoint.not_before().unwrap() - now).as_secs()
    };
    assert_eq!(wait(FailureClass::Retry, Some(0)), 1);
    assert_eq!(wait(FailureClass::Throttle, Some(120)), 120);
    assert_eq!(wait(FailureClass::Endpoint, Some(1_000_000)), 3_600);
}

#[test]
fn lanes_that_fail_together_count_once() {
    let now = Instant::now();
    let mut endpoint = EndpointHealth::new(Arc::default(), true);
    for after in 1..=8 {
        endpoint.fail(now, now + Duration::from_millis(after), &error(FailureClass::Retry, None), 1.0);
    }
    assert_eq!(endpoint.failures, 1);
    endpoint.fail(now + Duration::from_secs(2), now + Duration::from_secs(3), &error(FailureClass::Retry, None), 1.0);
    assert_eq!(endpoint.failures, 2);
}

#[test]
fn an_answer_ends_backing_off() {
    let now = Instant::now();
    let mut endpoint = EndpointHealth::new(Arc::default(), true);
    endpoint.fail(now, now, &error(FailureClass::Retry, None), 1.0);
    assert_eq!(endpoint.state(), EndpointState::BackingOff);
    endpoint.accept(now);
    assert_eq!((endpoint.state(), endpoint.not_before(), endpoint.last_error()), (EndpointState::Healthy, None, None));
}

#[test]
fn one_that_is_enabled_again_forgets_why_it_was_disabled() {
    let mut disabled = EndpointHealth::new(Arc::default(), true);
    disabled.disable(Some("410 Gone".to_owned()));
    let next = |enabled| {
        let mut next = EndpointHealth::new(Arc::default(), enabled);
        next.continue_from(&disabled);
        next.last_error().map(str::to_owned)
    };
    assert_eq!(next(true), None);
    assert_eq!(next(false).as_deref(), Some("410 Gone"), "other settings, still disabled");
}

#[test]
fn of_lanes_that_fail_together_the_longest_wait_counts() {
    let now = Instant::now();
    let mut endpoint = EndpointHealth::new(Arc::default(), true);
    endpoint.fail(now, now, &error(FailureClass::Retry, None), 1.0);
    let at = now + Duration::from_millis(1);
    endpoint.fail(now - Duration::from_millis(1), at, &error(FailureClass::Throttle, Some(60)), 1.0);
    assert_eq!(endpoint.not_before(), Some(at + Duration::from_secs(60)));
    endpoint.fail(now - Duration::from_millis(1), at, &error(FailureClass::Retry, None), 1.0);
    assert_eq!(endpoint.not_before(), Some(at + Duration::from_secs(60)));
}

#[test]
fn what_the_receiver_asked_one_lane_for_outlasts_the_answers_to_others() {
    let now = Instant::now();
    let asked = || {
        let mut endpoint = EndpointHealth::new(Arc::default(), true);
        endpoint.fail(now, now, &error(FailureClass::Throttle, Some(60)), 1.0);
        endpoint
    };
    let until = now + Duration::from_secs(60);
    let meanwhile: [fn(&mut EndpointHealth, Instant); 3] = [
        |endpoint, at| endpoint.accept(at),
        |endpoint, at| endpoint.refuse("400", at),
        |endpoint, at| endpoint.fail(at - Duration::from_secs(2), at, &error(FailureClass::Retry, None), 1.0),
    ];
    for answer in meanwhile {
        let mut endpoint = asked();
        answer(&mut endpoint, now + Duration::from_secs(1));
        assert_eq!((endpoint.state(), endpoint.not_before()), (EndpointState::Throttled, Some(until)));
        assert_eq!(endpoint.asked_to_wait(now + Duration::from_secs(1)), Some(until));
        assert!(endpoint.last_error().is_some());
        endpoint.end_backoff();
        assert_eq!(endpoint.not_before(), Some(until));
        assert_eq!(endpoint.asked_to_wait(until), None);
        endpoint.accept(until);
        assert_eq!((endpoint.state(), endpoint.last_error()), (EndpointState::Healthy, None));
    }
}

#[test]
fn the_end_of_backoff_ends_our_own_waits_only() {
    let now = Instant::now();
    let hurried = |class, retry_after| {
        let mut endpoint = EndpointHealth::new(Arc::default(), true);
        endpoint.fail(now, now, &error(class, retry_after), 1.0);
        endpoint.end_backoff();
        endpoint.not_before()
    };
    assert_eq!(hurried(FailureClass::Retry, None), None);
    assert_eq!(hurried(FailureClass::Endpoint, None), None);
    assert_eq!(hurried(FailureClass::Throttle, Some(30)), Some(now + Duration::from_secs(30)));
}

#[test]
fn a_wait_too_long_for_the_clock_is_a_very_long_one() {
    let now = Instant::now();
    assert!(later(now, Duration::MAX) > now + Duration::from_secs(3_000_000_000));
}

fn warned(warn_after: Duration) -> EndpointHealth {
    let mut endpoint = EndpointHealth::new(Arc::default(), true);
    endpoint.warn_after = warn_after;
    endpoint
}

#[test]
fn failing_is_said_once_and_recovery_once() {
    let (begun, minute) = (Instant::now(), Duration::from_secs(60));
    let failure = error(FailureClass::Retry, None);
    let mut endpoint = warned(minute);
    let fail = |endpoint: &mut EndpointHealth, after: u64| {
        let now = begun + Duration::from_secs(after);
        endpoint.fail(now, now, &failure, 1.0);
        endpoint.take_alarm()
    };
    assert_eq!(fail(&mut endpoint, 10), None);
    assert_eq!(fail(&mut endpoint, 69), None);
    assert_eq!(fail(&mut endpoint, 75), Some(Alarm::Failing(Duration::from_secs(65))));
    assert_eq!(fail(&mut endpoint, 1_000), None);
    // Other settings change nothing of that.
    let mut next = warned(minute);
    next.continue_from(&endpoint);
    assert_eq!(fail(&mut next, 2_000), None);
    next.accept(begun + Duration::from_secs(2_010));
    assert_eq!(next.take_alarm(), Some(Alarm::Recovered(Duration::from_secs(2_000))));
    next.accept(begun + Duration::from_secs(2_011));
    assert_eq!(next.take_alarm(), None);
    // A refusal is no sign of life, and no failure is one for long before another.
    next.refuse("refused", begun + Duration::from_secs(3_000));
    assert_eq!(fail(&mut next, 3_060), Some(Alarm::Failing(minute)));
}

#[test]
fn the_time_for_which_it_was_disabled_does_not_count() {
    let (begun, minute) = (Instant::now(), Duration::from_secs(60));
    let at = |after: u64| begun + Duration::from_secs(after);
    let failure = error(FailureClass::Retry, None);
    let mut endpoint = warned(minute);
    endpoint.fail(at(0), at(0), &failure, 1.0);
    endpoint.disable(None);
    let mut enabled = warned(minute);
    enabled.continue_from(&endpoint);
    enabled.fail(at(1_000), at(1_000), &failure, 1.0);
    assert_eq!(enabled.take_alarm(), None);
    enabled.fail(at(1_060), at(1_060), &failure, 1.0);
    assert_eq!(enabled.take_alarm(), Some(Alarm::Failing(minute)));
}
