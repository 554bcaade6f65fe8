//! Every setting, once: flag, variables, help. Parsing, `--help` and the documentation come from here.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The flag, without its dashes.
    pub(crate) flag: &'static str,
    /// The variable of the old gatekeeper that means the same.
    pub(crate) old: Option<&'static str>,
    /// What the value looks like.
    pub(crate) value: &'static str,
    /// What it means.
    pub(crate) help: &'static str,
}

const fn row(flag: &'static str, old: Option<&'static str>, value: &'static str, help: &'static str) -> Row {
    Row { flag, old, value, help }
}

pub(crate) const ENABLED: Row = row(
    "enabled",
    Some("K8S_AWAIT_ELECTION_ENABLED"),
    "true|false",
    "Take part in the election. Default: if --lease-name is given (as flag or variable). Off: the command is executed at once, in \
     this process. The old variable counts as true if it is not empty",
);
pub(crate) const NAME: Row = row(
    "name",
    Some("K8S_AWAIT_ELECTION_NAME"),
    "NAME",
    "Name of the election in messages. Default: the Lease's name",
);
pub(crate) const LEASE_NAME: Row =
    row("lease-name", Some("K8S_AWAIT_ELECTION_LOCK_NAME"), "NAME", "The Lease. Required");
pub(crate) const LEASE_NAMESPACE: Row = row(
    "lease-namespace",
    Some("K8S_AWAIT_ELECTION_LOCK_NAMESPACE"),
    "NAMESPACE",
    "The Lease's namespace. Required",
);
pub(crate) const IDENTITY: Row = row(
    "identity",
    Some("K8S_AWAIT_ELECTION_IDENTITY"),
    "NAME",
    "This member: no other may have the same name at the same time; usually the pod's name. Required",
);
pub(crate) const LEASE_DURATION: Row = row(
    "lease-duration",
    Some("K8S_AWAIT_ELECTION_LEASE_DURATION"),
    "DURATION",
    "After this without a renewal others may take the lease; whole seconds, at least 1s. Default: 15s",
);
pub(crate) const RENEW_DEADLINE: Row = row(
    "renew-deadline",
    Some("K8S_AWAIT_ELECTION_RENEW_DEADLINE"),
    "DURATION",
    "After this without a renewal the command gets SIGTERM; before the lease can be taken it gets SIGKILL. Default: 10s",
);
pub(crate) const RETRY_PERIOD: Row = row(
    "retry-period",
    Some("K8S_AWAIT_ELECTION_RETRY_PERIOD"),
    "DURATION",
    "Between two renewals. Default: 2s",
);
pub(crate) const TERM_GRACE: Row = row(
    "term-grace",
    None,
    "DURATION",
    "From SIGTERM to SIGKILL where the command is to end; less than the pod's terminationGracePeriodSeconds. Default: 25s",
);
pub(crate) const STATUS_ADDRESS: Row = row(
    "status-address",
    Some("K8S_AWAIT_ELECTION_STATUS_ENDPOINT"),
    "[HOST]:PORT",
    "Where the status is served over HTTP. Default: nowhere",
);
pub(crate) const SERVICE: Row = row(
    "service",
    Some("K8S_AWAIT_ELECTION_SERVICE_NAME"),
    "NAME",
    "A Service without selector whose one endpoint shall be this pod while it holds the lease. Default: none",
);
pub(crate) const SERVICE_NAMESPACE: Row = row(
    "service-namespace",
    Some("K8S_AWAIT_ELECTION_SERVICE_NAMESPACE"),
    "NAMESPACE",
    "The Service's namespace. Default: the Lease's",
);
pub(crate) const SERVICE_PORTS: Row = row(
    "service-ports",
    Some("K8S_AWAIT_ELECTION_SERVICE_PORTS_JSON"),
    "PORTS",
    "The endpoint's ports, as name=port or name=port/UDP with commas between them, or as a JSON array of EndpointPort. Required \
     with --service",
);
pub(crate) const POD_IP: Row =
    row("pod-ip", Some("K8S_AWAIT_ELECTION_POD_IP"), "IP", "The endpoint's address. Required with --service");
pub(crate) const NODE_NAME: Row = row(
    "node-name",
    Some("K8S_AWAIT_ELECTION_NODE_NAME"),
    "NAME",
    "The endpoint's node. Default: not stated",
);
pub(crate) const ENDPOINTS: Row = row(
    "endpoints",
    None,
    "auto|endpoints|slice",
    "What is written for the Service: its v1 Endpoints, an EndpointSlice, or (auto, the default) the Endpoints where they exist or \
     slices may not be written, else a slice",
);
pub(crate) const READY_HTTP: Row = row(
    "ready-http",
    None,
    "PORT/PATH",
    "Write the endpoint only once a GET of this at the pod's IP is answered with 200 to 399. Default: before the command starts",
);
pub(crate) const READY_TCP: Row = row(
    "ready-tcp",
    None,
    "PORT",
    "Write the endpoint only once this port at the pod's IP accepts a connection",
);
pub(crate) const POD_NAME: Row = row(
    "pod-name",
    None,
    "NAME",
    "The pod's name, for the endpoint's targetRef. Default: the identity, if it is the host's name",
);
pub(crate) const POD_UID: Row =
    row("pod-uid", None, "UID", "The pod's UID. Default: found in /proc/self/mountinfo");
pub(crate) const CONTAINER_NAME: Row =
    row("container-name", None, "NAME", "The container's name. Default: found in /proc/self/mountinfo");
pub(crate) const KUBECONFIG: Row = row(
    "kubeconfig",
    None,
    "FILE",
    "For use outside a pod. Default: $KUBECONFIG, ~/.kube/config or the pod's service account",
);

/// All of them, in the order of the help.
pub(crate) const ROWS: [Row; 22] = [
    ENABLED,
    NAME,
    LEASE_NAME,
    LEASE_NAMESPACE,
    IDENTITY,
    LEASE_DURATION,
    RENEW_DEADLINE,
    RETRY_PERIOD,
    TERM_GRACE,
    STATUS_ADDRESS,
    SERVICE,
    SERVICE_NAMESPACE,
    SERVICE_PORTS,
    POD_IP,
    NODE_NAME,
    ENDPOINTS,
    READY_HTTP,
    READY_TCP,
    POD_NAME,
    POD_UID,
    CONTAINER_NAME,
    KUBECONFIG,
];

impl Row {
    /// Our own variable.
    pub(crate) fn variable(&self) -> String {
        format!("HOTSTANDBY_AWAIT_{}", self.flag.replace('-', "_").to_ascii_uppercase())
    }

    /// All ways to give it, for messages.
    pub(crate) fn ways(&self) -> String {
        let old = self.old.map(|old| format!(" or {old}")).unwrap_or_default();
        format!("--{}, {}{old}", self.flag, self.variable())
    }
}
