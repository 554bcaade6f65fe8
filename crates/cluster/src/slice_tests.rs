//! What a slice says comes back as it was said, and any edit shows.

use super::*;
use crate::testing::{client, failure, stored};
use http::Method;
use serde_json::{Value, json};

/// What somebody did to a slice.
type Edit = fn(&mut Value);

fn target() -> SliceTarget {
    SliceTarget {
        group: GroupKey::cr("shop", "web"),
        service: "web-active".into(),
        service_uid: "service".into(),
        family: Family::Ipv4,
    }
}

fn content_of_web_1() -> SliceContent {
    SliceContent {
        endpoint: Some(Endpoint {
            ip: "10.88.1.7".parse().unwrap(),
            pod: "web-1".into(),
            uid: "pod-1".into(),
            node: Some("n1".into()),
        }),
        ports: vec![
            SlicePort {
                name: "http".into(),
                protocol: Protocol::Tcp,
                port: 8080,
                app_protocol: Some("http".into()),
            },
            SlicePort { name: "".into(), protocol: Protocol::Udp, port: 53, app_protocol: None },
        ],
        seat_uid: "seat".into(),
        term: Term(9),
        reason: Reason::PodDeleted,
        since_ms: 1_795_219_200_123,
        group_uid: "group".into(),
        orphan: true,
    }
}

fn written(content: &SliceContent) -> Value {
    let slice = slice(&target(), "one/controller", content, Extras::default()).unwrap();
    stored(&serde_json::to_value(slice).unwrap(), "slice", "5")
}

fn view(slice: Value) -> SliceView {
    let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
    SliceLite::new(&slice).unwrap().view(&"service".into())
}

#[test]
fn a_slice_reads_back_as_written() {
    let empty = SliceContent { endpoint: None, ports: Vec::new(), orphan: false, ..content_of_web_1() };
    for content in [content_of_web_1(), empty] {
        let view = view(written(&content));
        assert_eq!(view.content, Some(content));
        assert_eq!(view.stamp, Some(("seat".into(), Term(9))));
        assert_eq!(view.controller.as_deref(), Some("one/controller"));
        assert_eq!(&*view.name, "web-active-hotstandby-ipv4");
    }
}

#[test]
fn the_written_form_is_the_contract() {
    let slice = written(&content_of_web_1());
    assert_eq!(
        slice["metadata"]["labels"],
        json!({
            "endpointslice.kubernetes.io/managed-by": "hotstandby.dev",
            "kubernetes.io/service-name": "web-active",
        })
    );
    assert_eq!(
        slice["metadata"]["ownerReferences"],
        json!([
            {"apiVersion": "v1", "kind": "Service", "name": "web-active", "uid": "service"}
        ])
    );
    assert_eq!(
        slice["endpoints"],
        json!([{
            "addresses": ["10.88.1.7"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "n1",
            "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop", "uid": "pod-1"},
        }])
    );
    assert_eq!(slice["addressType"], "IPv4");
    assert_eq!(slice["metadata"]["annotations"][names::DELETION_POLICY], "Orphan");
}

#[test]
fn every_edit_shows() {
    let edits: [(&str, Edit); 16] = [
        ("a second endpoint", |slice| {
            let mut other = slice["endpoints"][0].clone();
            other["addresses"] = json!(["10.88.1.8"]);
            slice["endpoints"].as_array_mut().unwrap().push(other);
        }),
        ("a second address", |slice| slice["endpoints"][0]["addresses"] = json!(["10.88.1.7", "10.88.1.8"])),
        ("not ready", |slice| slice["endpoints"][0]["conditions"]["ready"] = json!(false)),
        ("terminating", |slice| slice["endpoints"][0]["conditions"]["terminating"] = json!(true)),
        ("no conditions", |slice| slice["endpoints"][0]["conditions"] = json!({})),
        ("hints", |slice| slice["endpoints"][0]["hints"] = json!({"forZones": [{"name": "a"}]})),
        ("a zone", |slice| slice["endpoints"][0]["zone"] = json!("a")),
        ("no target", |slice| {
            slice["endpoints"][0].as_object_mut().unwrap().remove("targetRef");
        }),
        ("another owner", |slice| slice["metadata"]["ownerReferences"][0]["uid"] = json!("other")),
        ("no owner", |slice| slice["metadata"]["ownerReferences"] = json!([])),
        ("another Service", |slice| slice["metadata"]["labels"][names::SERVICE_NAME_LABEL] = json!("other")),
        ("no managed-by", |slice| {
            slice["metadata"]["labels"].as_object_mut().unwrap().remove(names::MANAGED_BY_LABEL);
        }),
        ("hidden from kube-proxy", |slice| {
            slice["metadata"]["labels"]["service.kubernetes.io/headless"] = json!("");
        }),
        ("a bad term", |slice| slice["metadata"]["annotations"][names::TERM] = json!("x")),
        ("another family", |slice| slice["addressType"] = json!("IPv6")),
        ("a bad port", |slice| slice["ports"][0]["port"] = json!(70_000)),
    ];
    for (what, edit) in edits {
        let mut slice = written(&content_of_web_1());
        edit(&mut slice);
        assert_eq!(view(slice).content, None, "{what}");
    }
    // A wrong address is no wrong form: the content differs, which the core sees.
    let mut slice = written(&content_of_web_1());
    slice["endpoints"][0]["addresses"] = json!(["10.88.1.8"]);
    assert_ne!(view(slice).content, Some(content_of_web_1()));
}

#[test]
fn what_others_noted_on_it_is_no_edit_and_stays() {
    let mut slice = written(&content_of_web_1());
    slice["metadata"]["annotations"]["example.com/note"] = json!("x");
    slice["metadata"]["labels"]["team"] = json!("shop");
    assert_eq!(view(slice.clone()).content, Some(content_of_web_1()));
    let found: EndpointSlice = serde_json::from_value(slice).unwrap();
    let extras = SliceLite::new(&found).unwrap().own.unwrap().extras;
    let again = super::slice(&target(), "one/controller", &content_of_web_1(), extras).unwrap();
    assert_eq!(again.metadata.labels, found.metadata.labels);
    assert_eq!(again.metadata.annotations, found.metadata.annotations);
}

#[tokio::test]
async fn a_write_carries_its_precondition() {
    let (api, log) = client(|seen| (200, stored(&seen.body, "slice", "6")));
    let store = SliceStore::new(api, "one/controller".into());
    let unchanged = Precondition::Unchanged { uid: "slice".into(), rv: "5".into() };
    let view = store.write(&target(), &unchanged, &content_of_web_1(), Extras::default()).await.unwrap();
    assert_eq!((view.rv, view.content), ("6".into(), Some(content_of_web_1())));
    store.write(&target(), &Precondition::Absent, &content_of_web_1(), Extras::default()).await.unwrap();
    let log = log.lock().unwrap();
    let path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
    assert_eq!(
        (&log[0].method, log[0].path.as_str()),
        (&Method::PUT, &*format!("{path}/web-active-hotstandby-ipv4"))
    );
    assert_eq!(
        (&log[0].body["metadata"]["uid"], &log[0].body["metadata"]["resourceVersion"]),
        (&json!("slice"), &json!("5"))
    );
    assert_eq!((&log[1].method, log[1].path.as_str()), (&Method::POST, path));
    assert!(log[1].body["metadata"].get("uid").is_none());
}

#[tokio::test]
async fn a_webhook_that_meddles_is_told_and_a_gone_slice_is_a_conflict() {
    let (api, _) = client(|seen| {
        let mut slice = stored(&seen.body, "slice", "6");
        slice["endpoints"][0]["conditions"]["ready"] = json!(false);
        (200, slice)
    });
    let unchanged = Precondition::Unchanged { uid: "slice".into(), rv: "5".into() };
    let store = SliceStore::new(api, "one/controller".into());
    let outcome = store.write(&target(), &unchanged, &content_of_web_1(), Extras::default()).await;
    assert!(matches!(outcome, Err(WriteError::Refused(text)) if text.contains("webhook")));
    let (api, _) = client(|_| failure(404, "NotFound"));
    let store = SliceStore::new(api, "one/controller".into());
    let outcome = store.write(&target(), &unchanged, &content_of_web_1(), Extras::default()).await;
    assert_eq!(outcome, Err(WriteError::Conflict));
}

#[test]
fn an_address_of_another_family_is_never_sent() {
    let mut content = content_of_web_1();
    content.endpoint.as_mut().unwrap().ip = "fd00::1".parse().unwrap();
    assert!(slice(&target(), "c", &content, Extras::default()).is_err());
    let six = SliceTarget { family: Family::Ipv6, ..target() };
    let slice = slice(&six, "c", &content, Extras::default()).unwrap();
    assert_eq!(slice.address_type, "IPv6");
    assert_eq!(slice.metadata.name.as_deref(), Some("web-active-hotstandby-ipv6"));
}
