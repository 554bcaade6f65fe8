//! Which lists are complete, and which objects a new list no longer named.

/// A kind that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Group,
    Pod,
    Service,
    Slice,
    Seat,
    Node,
    ReplicaSet,
    StatefulSet,
}

/// What is watched beside what every group needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // three independent rights, not a state
pub struct Watched {
    /// Nodes; the namespaced install has no right to them.
    pub nodes: bool,
    /// `ReplicaSets`.
    pub replica_sets: bool,
    /// `StatefulSets`.
    pub stateful_sets: bool,
}

impl Watched {
    /// Everything.
    pub const ALL: Self = Self { nodes: true, replica_sets: true, stateful_sets: true };

    fn includes(self, kind: Kind) -> bool {
        match kind {
            Kind::Group | Kind::Pod | Kind::Service | Kind::Slice | Kind::Seat => true,
            Kind::Node => self.nodes,
            Kind::ReplicaSet => self.replica_sets,
            Kind::StatefulSet => self.stateful_sets,
        }
    }
}

/// An object and the list that named it last.
#[derive(Clone, Debug)]
pub(super) struct Stored<T> {
    pub(super) epoch: u32,
    pub(super) value: T,
}

/// The lists of all kinds.
#[derive(Debug)]
pub(super) struct Lists {
    watched: Watched,
    /// Per kind: the list under way or newest, and the generation of the newest complete one.
    rows: [(Kind, u32, u64); 8],
}

impl Lists {
    pub(super) fn new(watched: Watched) -> Self {
        let kinds = [
            Kind::Group,
            Kind::Pod,
            Kind::Service,
            Kind::Slice,
            Kind::Seat,
            Kind::Node,
            Kind::ReplicaSet,
            Kind::StatefulSet,
        ];
        Self { watched, rows: kinds.map(|kind| (kind, 0, 0)) }
    }

    pub(super) const fn watched(&self) -> Watched {
        self.watched
    }

    pub(super) fn begin(&mut self, kind: Kind) {
        for (_, epoch, _) in self.rows.iter_mut().filter(|(row, ..)| *row == kind) {
            *epoch = epoch.wrapping_add(1);
        }
    }

    pub(super) fn done(&mut self, kind: Kind, generation: u64) {
        for (.., newest) in self.rows.iter_mut().filter(|(row, ..)| *row == kind) {
            *newest = generation.max(1);
        }
    }

    /// The epoch an object of this kind is stored with now.
    pub(super) fn epoch(&self, kind: Kind) -> u32 {
        self.rows.iter().find(|(row, ..)| *row == kind).map_or(0, |(_, epoch, _)| *epoch)
    }

    /// The generation of the newest complete list of each kind, the lowest of them; 0: not all were read yet.
    pub(super) fn generation(&self) -> u64 {
        let needed = self.rows.iter().filter(|(kind, ..)| self.watched.includes(*kind));
        needed.map(|(.., generation)| *generation).min().unwrap_or(0)
    }

    /// Whether this kind was listed once.
    pub(super) fn is_complete(&self, kind: Kind) -> bool {
        self.rows.iter().any(|(row, _, generation)| *row == kind && *generation > 0)
    }
}
