//! Names that are contracts: annotations, labels, and how objects of ours are called.

/// Our API group, and the value of `endpointslice.kubernetes.io/managed-by` on our slices.
pub const GROUP: &str = "hotstandby.dev";
/// The controller mark: which install a projection belongs to.
pub const CONTROLLER: &str = "hotstandby.dev/controller";
/// The default of `--controller-name`.
pub const DEFAULT_CONTROLLER: &str = "hotstandby.dev/controller";
/// UID of the seat a projection follows.
pub const SEAT_UID: &str = "hotstandby.dev/seat-uid";
/// Term of the seat a projection follows.
pub const TERM: &str = "hotstandby.dev/term";
/// Why the holder is active.
pub const REASON: &str = "hotstandby.dev/reason";
/// Since when, RFC 3339 with milliseconds.
pub const SINCE: &str = "hotstandby.dev/since";
/// UID of the holding pod, on the seat.
pub const HOLDER_UID: &str = "hotstandby.dev/holder-uid";
/// Name of the holding pod, on the seat: with the UID and the term it seals the record.
pub const HOLDER_NAME: &str = "hotstandby.dev/holder-name";
/// Name of the holding container, on a Lease that pods elect by.
pub const HOLDER_CONTAINER: &str = "hotstandby.dev/holder-container";
/// The holding process, by a random text, on a Lease that pods elect by.
pub const HOLDER_INSTANCE: &str = "hotstandby.dev/holder-instance";
/// The renew time once more, Unix microseconds, on a Lease that pods elect by: shows who renewed it.
pub const HOLDER_RENEWED: &str = "hotstandby.dev/holder-renewed";
/// The controller mark of endpoints that a pod's gatekeeper writes itself.
pub const AWAIT_CONTROLLER: &str = "hotstandby.dev/await";
/// What undoes our changes of a pod's labels or a Service's selector: a JSON object of keys and values, null where the key goes.
pub const UNDO: &str = "hotstandby.dev/undo";
/// Who was active before and must acknowledge or end before the holder is promoted, on the seat: `UID/NAME`, separated by commas.
pub const PREVIOUS: &str = "hotstandby.dev/previous";
/// UID of the group, on seat and slices.
pub const GROUP_UID: &str = "hotstandby.dev/group-uid";
/// Kind of the group's object (`cr` or `svc`; missing: `cr`), on seat and slices.
pub const GROUP_KIND: &str = "hotstandby.dev/group-kind";
/// Namespace of the group, on seat and slices.
pub const GROUP_NAMESPACE: &str = "hotstandby.dev/group-namespace";
/// Name of the group, on seat and slices.
pub const GROUP_NAME: &str = "hotstandby.dev/group-name";
/// What removal of the group leaves behind, on seat and slices.
pub const DELETION_POLICY: &str = "hotstandby.dev/deletion-policy";
/// The request for a planned move, on the group.
pub const SWITCHOVER: &str = "hotstandby.dev/switchover";
/// `"true"` pauses the group.
pub const PAUSED: &str = "hotstandby.dev/paused";
/// `active-standby` on a Service makes a group of the pods it is for.
pub const MODE: &str = "hotstandby.dev/mode";
/// The value of [`MODE`].
pub const ACTIVE_STANDBY: &str = "active-standby";
/// The value of [`MODE`] that leaves a Service alone, whatever [`SERVICE_MODE`] says.
pub const OFF: &str = "off";
/// Which pods an annotated Service without selector is for, in the syntax of `kubectl -l`.
pub const SELECTOR: &str = "hotstandby.dev/selector";
/// The label of the selector pointer, and the key it adds to a Service's selector.
pub const MEMBER: &str = "hotstandby.dev/member";
/// A pod's priority.
pub const PRIORITY: &str = "hotstandby.dev/priority";
/// Label on our slices that says who manages them.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// Label on a slice that names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// On a Service, `"true"`: the admission policies let anybody change its selector.
pub const UNGUARDED: &str = "hotstandby.dev/unguarded";
/// On a Service, any text: an older controller's way to ask for one active pod.
pub const SERVICE_MODE: &str = "qoqo.dev/service-mode";
/// That controller's label of the active pod, and key of the Service's selector.
pub const POD_DESIGNATION: &str = "qoqo.dev/pod-designation";
/// Its value.
pub const POD_DESIGNATION_ACTIVE: &str = "active";
