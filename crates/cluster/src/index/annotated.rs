//! What the annotations of a Service ask for: to be led to one of the pods, without an `ActiveStandby`.

use crate::api::{LabelSelector, Selector};
use crate::names;
use crate::wire::{WireService, unix_ms};
use hotstandby_core::spec::SpecError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keys that lead a Service, in its selector beside those of its user.
const ADDED_KEYS: [&str; 2] = [names::MEMBER, names::POD_DESIGNATION];

/// A Service that asks for a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OptIn {
    /// When the Service was made, Unix milliseconds: the oldest names the group.
    pub(super) created_ms: i64,
    /// Which pods it is for, or why that cannot be known.
    pub(super) wish: Result<Wish, SpecError>,
    /// The Service has a selector, which is to name the active.
    pub(super) selecting: bool,
    /// It asks in the older controller's words, and its users look for that one's label.
    pub(super) compat: bool,
    /// The annotation that pauses.
    pub(super) paused: bool,
    /// The request for a planned move.
    pub(super) switchover: Option<Arc<str>>,
}

/// Which pods an annotated Service is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    /// The selector: of the Service itself, without what leads it, or of the annotation.
    pub(super) selector: Arc<Selector>,
    /// The labels with one certain value that it demands.
    pub(super) pairs: Vec<(Arc<str>, Arc<str>)>,
}

impl OptIn {
    /// What a Service asks for; `None`: nothing.
    pub(super) fn of(service: &WireService) -> Option<Self> {
        let meta = &service.metadata;
        let annotations = meta.annotations.as_ref()?;
        let annotation = |key: &str| annotations.get(key).map(String::as_str);
        if !is_asking(service) {
            return None;
        }
        Some(Self {
            created_ms: unix_ms(meta.creation_timestamp.as_ref()).unwrap_or(i64::MAX),
            wish: wish(service, annotations),
            selecting: !service.spec.selector.is_empty(),
            compat: annotation(names::SERVICE_MODE).is_some_and(|mode| !mode.is_empty()),
            paused: annotation(names::PAUSED) == Some("true"),
            switchover: annotation(names::SWITCHOVER).map(Into::into),
        })
    }
}

/// Whether a Service asks for a group at all, well or badly: by our annotation, or by the older controller's, which means
/// nothing on a Service without selector.
pub(crate) fn is_asking(service: &WireService) -> bool {
    let annotations = service.metadata.annotations.iter().flatten();
    // Who goes back to the older controller keeps its annotation, and has to be able to say so.
    if annotations.clone().any(|(key, value)| key == names::MODE && value == names::OFF) {
        return false;
    }
    annotations.into_iter().any(|(key, value)| match key.as_str() {
        names::MODE => true,
        names::SERVICE_MODE => !value.is_empty() && !service.spec.selector.is_empty(),
        _ => false,
    })
}

/// How an annotation is called in errors.
fn field(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}

fn wish(service: &WireService, annotations: &BTreeMap<String, String>) -> Result<Wish, SpecError> {
    let spec = &service.spec;
    if let Some(mode) = annotations.get(names::MODE).filter(|mode| *mode != names::ACTIVE_STANDBY) {
        let problem = format!("{mode:?} is not known");
        let remedy = format!("write {}, or remove the annotation", names::ACTIVE_STANDBY);
        return Err(SpecError::new(field(names::MODE), problem, remedy));
    }
    if spec.kind.as_deref() == Some("ExternalName") {
        let problem = "is ExternalName, and such a Service has no endpoints";
        return Err(SpecError::new("spec.type", problem, "use ClusterIP or headless"));
    }
    let said = annotations.get(names::SELECTOR);
    let (selector, field) = match (said, spec.selector.is_empty()) {
        (Some(text), true) => {
            let field = field(names::SELECTOR);
            (LabelSelector::parse(text, &field)?, field)
        }
        (None, true) => {
            let problem = "is missing, and the Service has no selector that would say which pods it is for";
            let remedy = "name the labels of the pods, such as app=web";
            return Err(SpecError::new(field(names::SELECTOR), problem, remedy));
        }
        (Some(_), false) => {
            let problem = "is only for a Service without a selector, and this one has one";
            let remedy = "remove either the annotation or spec.selector";
            return Err(SpecError::new(field(names::SELECTOR), problem, remedy));
        }
        (None, false) => (own_selector(&spec.selector), "spec.selector".to_owned()),
    };
    let pairs = selector.match_labels.iter();
    let pairs = pairs.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    Ok(Wish { selector: Arc::new(Selector::new(&selector, &field)?), pairs })
}

/// The Service's selector as its user wrote it, without what was added to lead it.
fn own_selector(selector: &BTreeMap<String, String>) -> LabelSelector {
    let own = selector.iter().filter(|(key, _)| !ADDED_KEYS.contains(&key.as_str()));
    LabelSelector {
        match_labels: own.map(|(key, value)| (key.clone(), value.clone())).collect(),
        match_expressions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(annotations: &Value, spec: &Value) -> Option<OptIn> {
        let meta = json!({"name": "web", "uid": "s1", "annotations": annotations});
        OptIn::of(&serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap())
    }

    fn refused(annotations: &Value, spec: &Value) -> String {
        service(annotations, spec).unwrap().wish.unwrap_err().to_string()
    }

    const OURS: &str = "active-standby";

    #[test]
    fn a_service_that_did_not_ask_makes_no_group() {
        for annotations in [
            Value::Null,
            json!({}),
            json!({"hotstandby.dev/paused": "true", "hotstandby.dev/selector": "app=web"}),
            json!({"qoqo.dev/service-mode": ""}),
            json!({"qoqo.dev/service-mode": "active-standby", names::MODE: "off"}),
        ] {
            assert!(service(&annotations, &json!({"selector": {"app": "web"}})).is_none(), "{annotations}");
        }
        // The older controller leads by selector, so that it never did anything with such a Service.
        assert!(service(&json!({"qoqo.dev/service-mode": "x"}), &json!({})).is_none());
    }

    #[test]
    fn the_pods_are_those_of_the_selector_without_what_was_added_to_it() {
        let own =
            service(&json!({names::MODE: OURS}), &json!({"selector": {"app": "web"}})).unwrap().wish.unwrap();
        let led = json!({"selector": {"app": "web", "qoqo.dev/pod-designation": "active", "hotstandby.dev/member": "x"}});
        for annotations in [json!({names::MODE: OURS}), json!({"qoqo.dev/service-mode": "whatever"})] {
            assert_eq!(service(&annotations, &led).unwrap().wish.unwrap(), own);
        }
        let said = json!({names::MODE: OURS, names::SELECTOR: "app=web"});
        assert_eq!(service(&said, &json!({})).unwrap().wish.unwrap(), own, "and of the annotation alike");
    }

    #[test]
    fn each_slip_is_named_with_its_remedy() {
        let selector = json!({"selector": {"app": "web"}});
        for (annotations, spec, words) in [
            (
                json!({names::MODE: "activestandby"}),
                &selector,
                ["[hotstandby.dev/mode]", "write active-standby"],
            ),
            (json!({names::MODE: OURS}), &json!({}), ["[hotstandby.dev/selector]: is missing", "app=web"]),
            (
                json!({names::MODE: OURS, names::SELECTOR: ""}),
                &json!({}),
                ["[hotstandby.dev/selector]", "kubectl -l"],
            ),
            (
                json!({names::MODE: OURS, names::SELECTOR: "a b"}),
                &json!({}),
                ["[hotstandby.dev/selector]", "kubectl -l"],
            ),
            (
                json!({names::MODE: OURS, names::SELECTOR: "-a=b"}),
                &json!({}),
                ["[hotstandby.dev/selector]", "\"-a\""],
            ),
            (
                json!({names::MODE: OURS, names::SELECTOR: "app=web"}),
                &selector,
                ["only for a Service without", "remove"],
            ),
            (json!({names::MODE: OURS}), &json!({"type": "ExternalName"}), ["spec.type", "ClusterIP"]),
            (
                json!({names::MODE: OURS}),
                &json!({"selector": {"hotstandby.dev/member": "x"}}),
                ["spec.selector", "every pod"],
            ),
        ] {
            let error = refused(&annotations, spec);
            assert!(words.iter().all(|word| error.contains(word)), "{annotations}: {error}");
        }
    }

    #[test]
    fn pause_and_switchover_are_read() {
        let annotations = json!({
            names::MODE: OURS, names::SELECTOR: "app=web", names::PAUSED: "true", names::SWITCHOVER: "term=7",
        });
        let asked = service(&annotations, &json!({})).unwrap();
        assert!(asked.paused);
        assert_eq!(asked.switchover.as_deref(), Some("term=7"));
    }
}
