//! The answers of the model that differ from those of a real server, and why that is accepted.

use hotstandby_conformance::KnownDifference;

/// The text of an error, and nothing else.
const TEXT: &[&str] = &["/message"];
/// The text of an error, and the texts of its causes.
const TEXTS: &[&str] = &["/message", "/details/causes"];
/// The whole answer.
const ALL: &[&str] = &[""];

const GO_TEXT: &str = "names Go types or contains the text of Go's decoder; code and reason are the same";
const GO_OBJECT: &str =
    "contains an object whose fields are in the order of the Go type; code and reason are the same";
const DIFF: &str =
    "ends with a line-by-line comparison of Go structs; code, reason and the first line are the same";
const RULES: &str = "the model has only a part of CEL: it does not check rules against the schema, and its errors have other texts";
const CRDS: &str = "the product's CRD is checked by a real server in every end-to-end test";
const SERDE: &str = "if a field occurs twice, serde_json keeps the last value and reports nothing";

const fn known(
    scenario: &'static str,
    step: &'static str,
    at: &'static [&'static str],
    what: &'static str,
    why: &'static str,
) -> KnownDifference {
    KnownDifference { scenario, step, at, what, why }
}

/// All known differences. `cargo test` fails for a difference that is not in this list, and for a line of this list that
/// is no longer a difference.
#[rustfmt::skip]
pub(crate) const KNOWN: &[KnownDifference] = &[
    known("lease_fields", "no_fraction", TEXTS, "the patched object in the text", GO_OBJECT),
    known("lease_fields", "short_fraction", TEXTS, "the patched object in the text", GO_OBJECT),
    known("lease_fields", "long_fraction", TEXTS, "the patched object in the text", GO_OBJECT),
    known("lease_refused", "text_for_number", TEXT, "the text of a decoding error", GO_TEXT),
    known("lease_refused", "number_for_text", TEXT, "the text of a decoding error", GO_TEXT),
    known("lease_refused", "list_for_map", TEXT, "the text of a decoding error", GO_TEXT),
    known("lease_refused", "odd_time", TEXT, "the text of a decoding error", GO_TEXT),
    known("lease_refused", "large_number", TEXT, "the text of a decoding error", GO_TEXT),
    known("lease_refused", "preferred_holder", &["/metadata/managedFields"], "the client that sent a field behind a disabled feature gate is recorded as the manager of no fields", "no client sends it, because the feature gate is disabled by default"),
    known("lease_refused", "strategy", &["/metadata/managedFields"], "the client that sent a field behind a disabled feature gate is recorded as the manager of no fields", "no client sends it, because the feature gate is disabled by default"),
    known("field_validation", "merge_strict", TEXTS, "the patched object in the text", GO_OBJECT),
    known("field_validation", "json_strict", TEXTS, "the patched object in the text", GO_OBJECT),
    known("field_validation", "twice_strict", ALL, "a field that occurs twice is refused; the model accepts it", SERDE),
    known("field_validation", "twice", ALL, "a warning about a field that occurs twice; in the model the object exists, because it accepted the step before", SERDE),
    known("bodies", "other_kind", TEXT, "the text about a kind of another group", GO_TEXT),
    known("bodies", "protobuf", ALL, "201; the model answers 415", "the model reads protobuf only where kubectl sends it to drain and to ask for rights"),
    known("bodies", "wants_yaml", ALL, "an answer in YAML; the model answers 406", "no client that we know of requests it"),
    known("metadata", "number_as_label", TEXT, "the text of a decoding error", GO_TEXT),
    known("metadata", "two_controllers", TEXTS, "the owners in the text", GO_OBJECT),
    known("patch_json", "wrong_type", TEXTS, "the patched object in the text", GO_OBJECT),
    known("patch_merge", "wrong_type", TEXTS, "the patched object in the text", GO_OBJECT),
    known("patch_merge", "other_kind", TEXTS, "the patched object in the text", GO_OBJECT),
    known("apply_odd", "wrong_type", TEXT, "the text of a decoding error", GO_TEXT),
    known("status_of_services", "odd_condition", ALL, "200; the model refuses a condition without lastTransitionTime", "k8s-openapi's types require what the API documents as required, though the server does not check it"),
    known("pod_updates", "node", TEXTS, "the text's second part", DIFF),
    known("pod_updates", "grace", TEXTS, "the text's second part", DIFF),
    known("pod_updates", "env", TEXTS, "the text's second part", DIFF),
    known("pod_updates", "unconditional", TEXTS, "one more cause: removing the deadline also changes the spec", DIFF),
    known("pod_refused", "odd_quantity", ALL, "400; the model accepts any string as a quantity", "nothing in the model counts resources"),
    known("custom_shapes", "other_version", &["notes"], "a warning about a field that is unknown in a version which is not served", "the object is refused in both cases"),
    known("custom_status", "invalid", &["/details/causes"], "the field in the text lacks its first part", "this comes from how the server validates the status alone; code, reason and field are the same"),
    known("custom_status", "apply", &["/metadata/managedFields"], "the client that wrote the status is recorded as the manager of labels that were not stored", "it has no effect, because these labels do not exist"),
    known("crd_refused", "no_versions", TEXTS, "a second cause about stored versions", CRDS),
    known("crd_refused", "no_storage", TEXTS, "the versions in the text", GO_OBJECT),
    known("crd_refused", "odd_rule", ALL, "422 for a rule about a field that does not exist; the model accepts it", RULES),
    known("crd_refused", "half_rule", TEXTS, "the text of a compilation error", RULES),
    known("crd_refused", "no_boolean", ALL, "422 for a rule that is not a condition; the model accepts it", RULES),
    known("crd_refused", "odd_default", ALL, "422 for a default that its own schema refuses; the model accepts it", CRDS),
    known("events", "change_regarding", TEXTS, "the object in the text", GO_OBJECT),
];
