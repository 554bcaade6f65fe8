//! What runs in the pods.

use std::net::IpAddr;

/// One container of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey {
    /// The pod's UID.
    pub uid: String,
    /// The container's name.
    pub container: String,
}

/// A container that is to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Which.
    pub key: ContainerKey,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// Its address.
    pub ip: IpAddr,
    /// The container's ports.
    pub ports: Vec<u16>,
}

/// Runs containers. Calls return at once.
pub trait Backend: Send {
    /// Starts a container. One that cannot start has ended: see [`Backend::ended`].
    fn start(&mut self, launch: &Launch);

    /// Asks a container to end.
    fn terminate(&mut self, key: &ContainerKey);

    /// Ends a container at once. It may be gone already.
    fn kill(&mut self, key: &ContainerKey);

    /// The exit code of a container that ended and has not been started again.
    fn ended(&mut self, key: &ContainerKey) -> Option<i32>;

    /// What the container's readiness probe finds.
    fn ready(&mut self, key: &ContainerKey) -> bool;
}

/// Containers without anything in them: always ready, and ended as soon as they are asked to.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    asked: std::collections::BTreeSet<ContainerKey>,
}

impl Backend for Idle {
    fn start(&mut self, launch: &Launch) {
        self.asked.remove(&launch.key);
    }

    fn terminate(&mut self, key: &ContainerKey) {
        self.asked.insert(key.clone());
    }

    fn kill(&mut self, key: &ContainerKey) {
        self.asked.remove(key);
    }

    fn ended(&mut self, key: &ContainerKey) -> Option<i32> {
        self.asked.remove(key).then_some(0)
    }

    fn ready(&mut self, _: &ContainerKey) -> bool {
        true
    }
}
