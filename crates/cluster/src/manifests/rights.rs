//! The rights the controller needs, as data: from this table come the cluster role, the roles, the check of
//! permissions at the start, and the docs. What is not here is not granted.

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every namespace that is watched: a cluster role, or a role in each namespace.
    Watched,
    /// On objects without namespace: left out where only some namespaces are watched.
    Cluster,
    /// In hotstandby's own namespace only.
    Own,
}

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group; empty for the core group.
    pub api_group: &'static str,
    /// Resource, with its subresource.
    pub resource: &'static str,
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Where it holds.
    pub scope: Scope,
    /// What it is needed for.
    pub why: &'static str,
}

const fn right(
    api_group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    scope: Scope,
    why: &'static str,
) -> Right {
    Right { api_group, resource, verbs, scope, why }
}

/// Every right of the controller. No write to pods, no Lease outside its own namespace, no Secret.
pub const RIGHTS: &[Right] = &[
    right("hotstandby.dev", "activestandbies", &["get", "list", "watch"], Scope::Watched, "the groups"),
    right("hotstandby.dev", "activestandbies/status", &["update"], Scope::Watched, "who is active, and why"),
    right(
        "",
        "pods",
        &["get", "list", "watch"],
        Scope::Watched,
        "the members; read again before the seat is written",
    ),
    right(
        "",
        "services",
        &["get", "list", "watch"],
        Scope::Watched,
        "ports and address families of the Services that lead to the active; annotated ones are read again before what was \
         made for them is removed",
    ),
    right(
        "discovery.k8s.io",
        "endpointslices",
        &["get", "list", "watch", "create", "update", "delete"],
        Scope::Watched,
        "the slices that lead to the active, and slices of others beside them",
    ),
    right(
        "apps",
        "replicasets",
        &["list", "watch"],
        Scope::Watched,
        "which members are of the newest revision",
    ),
    right(
        "apps",
        "statefulsets",
        &["list", "watch"],
        Scope::Watched,
        "which members are of the newest revision",
    ),
    right(
        "events.k8s.io",
        "events",
        &["create", "patch"],
        Scope::Watched,
        "what happened, for kubectl describe",
    ),
    right("", "nodes", &["list", "watch"], Scope::Cluster, "nodes that are lost, shut down or preferred"),
    right(
        "coordination.k8s.io",
        "leases",
        &["get", "list", "watch", "create", "update", "delete"],
        Scope::Own,
        "the seats: who is active",
    ),
    right("", "pods", &["list", "watch"], Scope::Own, "the other replicas of hotstandby"),
];

/// Rights that only some groups need: each a role of its own, granted where it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// For groups whose election is `Pods` or `External`.
    FollowLeases,
    /// For groups with `roleLabel`.
    RoleLabels,
    /// For Services with mode `SelectorPointer`.
    SelectorPointer,
    /// For groups with `oldActive: Delete` or `criticalContainers.deletePod`.
    DeletePods,
}

/// Labels and their marks: the subresource takes them, and can change nothing of what a pod runs.
const LABEL_PODS: Right = right(
    "",
    "pods/status",
    &["patch"],
    Scope::Watched,
    "labels of members, written through the status subresource; it could forge readiness, too",
);

impl Grant {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::FollowLeases, Self::RoleLabels, Self::SelectorPointer, Self::DeletePods];

    /// The name in `--with`, and the end of the roles' names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FollowLeases => "follow-leases",
            Self::RoleLabels => "role-labels",
            Self::SelectorPointer => "selector-pointer",
            Self::DeletePods => "delete-pods",
        }
    }

    /// The rights.
    pub const fn rights(self) -> &'static [Right] {
        match self {
            Self::FollowLeases => {
                const {
                    &[right(
                        "coordination.k8s.io",
                        "leases",
                        &["get", "list", "watch"],
                        Scope::Watched,
                        "the Leases that groups follow; they are never written",
                    )]
                }
            }
            Self::RoleLabels => const { &[LABEL_PODS] },
            Self::SelectorPointer => {
                const {
                    &[
                        LABEL_PODS,
                        right(
                            "",
                            "services",
                            &["patch"],
                            Scope::Watched,
                            "the selectors that name the active",
                        ),
                    ]
                }
            }
            Self::DeletePods => {
                const {
                    &[right(
                        "",
                        "pods",
                        &["delete"],
                        Scope::Watched,
                        "pods that lost the seat, or whose critical container ended, where a group asks for it",
                    )]
                }
            }
        }
    }
}

/// The rights of one scope.
pub fn of(scope: Scope) -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().filter(move |right| right.scope == scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_dangerous_is_asked_for() {
        for right in RIGHTS {
            assert!(
                !right.verbs.contains(&"*")
                    && !right.resource.contains('*')
                    && !right.api_group.contains('*')
            );
            let writes = right.verbs.iter().any(|verb| !["get", "list", "watch"].contains(verb));
            assert!(!(writes && right.resource.starts_with("pods")), "no write to pods");
            assert!(right.resource != "secrets" && right.resource != "configmaps");
            assert!(
                right.resource != "leases" || right.scope == Scope::Own,
                "no Lease outside our namespace"
            );
            assert!(!right.why.is_empty());
        }
    }

    #[test]
    fn what_is_granted_apart_is_the_least_that_serves() {
        let of = |grant: Grant| -> Vec<_> {
            grant.rights().iter().map(|right| (right.resource, right.verbs)).collect()
        };
        let read: &[&str] = &["get", "list", "watch"];
        assert_eq!(of(Grant::FollowLeases), [("leases", read)], "Leases of others are only read");
        assert_eq!(of(Grant::RoleLabels), [("pods/status", &["patch"][..])], "no write to pods themselves");
        let pointer = [("pods/status", &["patch"][..]), ("services", &["patch"][..])];
        assert_eq!(of(Grant::SelectorPointer), pointer);
        assert_eq!(of(Grant::DeletePods), [("pods", &["delete"][..])]);
        for right in Grant::ALL.iter().flat_map(|grant| grant.rights()) {
            assert_eq!(right.scope, Scope::Watched);
            assert!(!right.why.is_empty());
        }
    }
}
