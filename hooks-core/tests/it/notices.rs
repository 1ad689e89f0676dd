//! Events about endpoints: who gets them, who does not.

use hooks_core::{Bus, BusError, DispatchError, EndpointState, Envelope, Filter, Hook, TenantId, sink::FailureClass};
use hooks_test::{Receiver, World, batch, events, typed};

const TYPES: [&str; 3] = ["hooks.endpoint.backing_off", "hooks.endpoint.healthy", "hooks.endpoint.disabled"];

fn hook(id: &str, receiver: &Receiver, filter: Filter) -> Hook {
    Hook::new(id, receiver.clone()).unwrap().batch(batch(4, "0s")).filter(filter)
}

fn taken(json: &str) -> Envelope {
    Envelope::from_json(json.as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_names_them_hears_of_other_endpoints() {
    let (world, failing, alerts) = (World::new(), Receiver::default(), Receiver::default());
    world.add(hook("alerts", &alerts, Filter::types(TYPES))).await;
    world.add(hook("orders", &failing, Filter::all())).await;
    failing.fails(FailureClass::Retry, 3);
    world.publish(&events(0..1)).await;
    failing.has(1).await;
    alerts.has(2).await;
    let status = world.status("orders");
    assert_eq!((status.counts.taken, status.counts.delivered), (1, 1), "they are not for everybody");
    let told = alerts.events();
    let said: Vec<_> = told
        .iter()
        .map(|event| {
            (
                event.event_type(),
                event.subject(),
                serde_json::from_str::<serde_json::Value>(event.data().unwrap()).unwrap(),
            )
        })
        .collect();
    assert_eq!((said[0].0, said[0].1), (TYPES[0], Some("orders")));
    assert_eq!((&said[0].2["previous"], &said[0].2["error"]), (&"healthy".into(), &"scripted".into()));
    assert_eq!((said[1].0, &said[1].2["state"]), (TYPES[1], &"healthy".into()));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_hears_of_its_own_endpoints_alone() {
    let (world, failing) = (World::new(), Receiver::default());
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let told = ["acme", "other", ""].map(|name| (name, Receiver::default()));
    for (name, receiver) in &told {
        let filter = Filter::types(TYPES).tenant(TenantId::new(*name).ok());
        world.add(hook(&format!("alerts.{name}"), receiver, filter)).await;
    }
    world.add(hook("acmes", &failing, Filter::all().tenant(tenant("acme")))).await;
    world.add(hook("operators", &failing, Filter::all())).await;
    failing.fails(FailureClass::Retry, 2);
    world.publish(&[taken(r#"{"type":"a","tenant":"acme"}"#)]).await;
    failing.has(2).await;
    let [(_, acme), (_, other), (_, operator)] = &told;
    operator.has(4).await;
    acme.has(2).await;
    let heard = |receiver: &Receiver| -> Vec<_> {
        receiver
            .events()
            .iter()
            .map(|event| (event.subject().unwrap().to_owned(), event.tenant().map(str::to_owned)))
            .collect()
    };
    let own = ("acmes".to_owned(), Some("acme".to_owned()));
    assert_eq!(heard(acme), [own.clone(), own.clone()]);
    assert_eq!(heard(operator).iter().filter(|heard| **heard == own).count(), 2);
    assert_eq!(world.status("acmes").tenant, Some(tenant("acme")));
    world.finish().await;
    assert_eq!(heard(other), []);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hears_of_endpoints_causes_no_such_event() {
    let (world, one, two) = (World::new(), Receiver::default(), Receiver::default());
    world.add(hook("one", &one, Filter::types([TYPES[0], "test.*"]))).await;
    world.add(hook("two", &two, Filter::types([TYPES[0]]))).await;
    one.fails(FailureClass::Retry, 3);
    world.publish(&events(0..1)).await;
    one.has(1).await;
    let hooks = world.finish().await;
    assert_eq!((hooks[0].counts.taken, hooks[1].counts.taken), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_no_such_event_matches_is_an_error() {
    let (world, receiver) = (World::new(), Receiver::default());
    for pattern in ["hooks.endpoint.*", "hooks.*", "hooks.?", "hooks.endpoint.gone", "hooks."] {
        let error = world.dispatcher.add(hook("a", &receiver, Filter::types(["x", pattern]))).await.unwrap_err();
        let DispatchError::Invalid { problems, .. } = error else { panic!("{error}") };
        let problem = &problems[0];
        assert!(problem.starts_with(&format!("types: `{pattern}` matches nothing")), "{problem}");
        let list = "hooks.dead_letter.created, hooks.log.filling";
        assert!(problem.contains(list) && (problem.ends_with(list) || pattern == "hooks.endpoint.gone"), "{problem}");
    }
    let every = EndpointState::ALL.iter().map(|state| format!("hooks.endpoint.{state}")).collect::<Vec<_>>();
    let fine = Filter::types(every).except_types(["hooks.*"]);
    world.dispatcher.add(hook("a", &receiver, fine)).await.unwrap();
    world.dispatcher.add(hook("b", &receiver, Filter::types(["*", "hook*", "hooks*"]))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_else_publishes_such_an_event() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(hook("a", &receiver, Filter::types(TYPES))).await;
    for own in [TYPES[0], "hooks.test", "hooks."] {
        let error = world
            .bus
            .publish(hooks_test::together(&[typed("1", "fine", None), typed("2", own, None)]))
            .await
            .unwrap_err();
        assert!(matches!(&error, BusError::Reserved(name) if name == own), "{error}");
    }
    world.publish(&[typed("3", "hooks", None), typed("4", "hooksx.y", None)]).await;
    assert_eq!(world.finish().await[0].counts.taken, 0);
}
