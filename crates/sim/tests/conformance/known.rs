//! Where the model answers otherwise than the real server, and why that stays so.

use hotstandby_conformance::KnownDifference;

/// The error's text, and nothing else.
const TEXT: &[&str] = &["/message"];
/// The error's text, also where it stands as a cause.
const TEXTS: &[&str] = &["/message", "/details/causes"];
/// The whole answer.
const ALL: &[&str] = &[""];

const GO_TEXT: &str = "names Go types or repeats what Go's decoder says; code and reason are the same";
const GO_OBJECT: &str = "repeats an object in the order of its Go fields; code and reason are the same";
const DIFF: &str =
    "ends with a line-by-line comparison of Go structs; code, reason and the first line are the same";
const RULES: &str =
    "the model's CEL is small: it does not check rules against the schema, and has words of its own";
const CRDS: &str = "the product's CRD is checked by a real server in every end-to-end test";
const SERDE: &str = "of a field given twice serde_json keeps the last, and tells nobody";

const fn known(
    scenario: &'static str,
    step: &'static str,
    at: &'static [&'static str],
    what: &'static str,
    why: &'static str,
) -> KnownDifference {
    KnownDifference { scenario, step, at, what, why }
}

/// All known differences. A difference that is not here fails `cargo test`; so does a line here that is none any more.
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
    known("lease_refused", "preferred_holder", &["/metadata/managedFields"], "who sent a field behind a closed gate is noted as owner of nothing", "nobody sends it: the gate is closed by default"),
    known("lease_refused", "strategy", &["/metadata/managedFields"], "who sent a field behind a closed gate is noted as owner of nothing", "nobody sends it: the gate is closed by default"),
    known("field_validation", "merge_strict", TEXTS, "the patched object in the text", GO_OBJECT),
    known("field_validation", "json_strict", TEXTS, "the patched object in the text", GO_OBJECT),
    known("field_validation", "twice_strict", ALL, "a field given twice is refused; the model takes it", SERDE),
    known("field_validation", "twice", ALL, "a field given twice is warned of; in the model the step before made the object", SERDE),
    known("bodies", "other_kind", TEXT, "the text about a kind of another group", GO_TEXT),
    known("bodies", "protobuf", ALL, "201; the model answers 415", "the model reads protobuf only where kubectl sends it to drain and to ask for rights"),
    known("bodies", "wants_yaml", ALL, "an answer in YAML; the model answers 406", "no client we know asks for it"),
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
    known("pod_updates", "unconditional", TEXTS, "one more cause: removing the deadline is an edit of the spec, too", DIFF),
    known("pod_refused", "odd_quantity", ALL, "400; the model takes any text as a quantity", "nothing in the model counts resources"),
    known("custom_shapes", "other_version", &["notes"], "a warning of a field unknown to a version that is not served", "the object is refused all the same"),
    known("custom_status", "invalid", &["/details/causes"], "the field in the text lacks its first part", "a quirk of how the status alone is validated; code, reason and field are the same"),
    known("custom_status", "apply", &["/metadata/managedFields"], "who wrote the status is noted as owner of labels that were not stored", "a quirk without effect: there is nothing to own"),
    known("crd_refused", "no_versions", TEXTS, "a second cause about stored versions", CRDS),
    known("crd_refused", "no_storage", TEXTS, "the versions in the text", GO_OBJECT),
    known("crd_refused", "odd_rule", ALL, "422 for a rule about a field that is not there; the model takes it", RULES),
    known("crd_refused", "half_rule", TEXTS, "the text of a compilation error", RULES),
    known("crd_refused", "no_boolean", ALL, "422 for a rule that is no condition; the model takes it", RULES),
    known("crd_refused", "odd_default", ALL, "422 for a default its own schema refuses; the model takes it", CRDS),
    known("events", "change_regarding", TEXTS, "the object in the text", GO_OBJECT),
];
