//! What a test needs for itself alone.

/// What no other test may touch while this one runs. A test declares the first of these that covers all it needs; tests that
/// cannot run beside others run in this order, from what restarts nothing to what restarts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    /// Its own namespace, which every test has. Such tests run side by side, so they must not care about the speed of others,
    /// nor about when kube-proxy programs a change: it programs one a second on each node, whoever made it.
    Namespace,
    /// The speed of the cluster: the test has a deadline, and tests that run at the same time could make it miss that deadline. For
    /// example, kube-proxy waits a second between two changes, and a pod of the test serves for only 1.1 s after it is deleted. Or a
    /// lease lasts a second, which leaves 300 ms for a call, and the API server takes longer while it is busy.
    Speed,
    /// What is installed for the whole cluster: hotstandby's rights beyond its own, and admission policies.
    Install,
    /// The replicas of hotstandby.
    Replicas,
    /// The programs of the control plane.
    ControlPlane,
    /// The nodes.
    Nodes,
    /// The record of the whole run, so the test comes last.
    Record,
}

impl Needs {
    /// In words, for the list of tests and for the times at the end.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Speed => "speed",
            Self::Install => "install",
            Self::Replicas => "replicas",
            Self::ControlPlane => "control plane",
            Self::Nodes => "nodes",
            Self::Record => "record",
        }
    }
}
