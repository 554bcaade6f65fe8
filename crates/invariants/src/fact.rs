//! What can be told to a [`crate::History`]: neutral facts, in the words of the design and not of the Kubernetes API.

use std::borrow::Cow;

/// The counter of a seat. It is wide enough for every counter that a feeder reads, signed or not.
pub type Term = i128;

/// A label or one requirement of a selector: a key and its value.
pub type Label<'a> = (&'a str, &'a str);

/// One thing that was stored, or that is about to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// A seat was written.
    Seat(StoredSeat<'a>),
    /// A stranger changed a seat so that its term cannot be known any more: its terms are not compared from now on.
    SeatBlurred {
        /// The seat's UID.
        seat: &'a str,
    },
    /// An `EndpointSlice` was written.
    Slice(StoredSlice<'a>),
    /// A pod was written, by anybody.
    Pod(StoredPod<'a>),
    /// A Service was written, by anybody.
    Service(StoredService<'a>),
    /// hotstandby wrote a pod's role label or a Service's selector: a write whose purpose is known.
    Route(StoredRoute<'a>),
    /// An object was deleted.
    Gone {
        /// What it was.
        kind: Kind,
        /// The same id that the object had in the facts before.
        id: &'a str,
    },
    /// A stranger removed or changed the stamp of a Service's slices and selector, or of a pod: what it said before is not known
    /// to hotstandby any more.
    StampForgotten {
        /// The Service's name, or the pod's id.
        object: &'a str,
    },
    /// hotstandby asks for a write to an object that carries the marks of an owner.
    WriteAsked {
        /// The object in words, for the violation's text.
        object: &'a str,
        /// Whose the object is before the write.
        owner: Owner<'a>,
    },
}

/// The kinds of objects that can be deleted. A deleted seat stays in the history: its terms are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A pod.
    Pod,
    /// A Service.
    Service,
    /// An `EndpointSlice`.
    EndpointSlice,
}

impl Kind {
    /// The kind as the Kubernetes API spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }
}

/// Whose write a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// hotstandby's, or the write of anybody that is held against hotstandby: it is judged.
    Hotstandby,
    /// The write of a program that owns the object and has rules of its own, such as the owner of a followed election or the endpoint
    /// controller: it is believed and not judged.
    Owner,
    /// The write of the test itself or of a stranger: it is excused until the object is written again.
    Stranger,
}

/// Whose an object is, by the marks on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Nobody's.
    Nobody,
    /// An installation of hotstandby, by its name.
    Install(&'a str),
    /// An election that hotstandby only follows.
    Election,
}

/// How the writer of a seat uses its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermUse {
    /// The write begins a term of its own, as every decision of hotstandby does.
    New,
    /// The same, of a seat that is made: the term is above every term of every seat before it.
    AboveAll,
    /// The write may repeat the term for the same holder, as a renewal or a release does.
    Kept,
    /// Programs with other rules write here: one term may have had several holders, and each of them counts.
    Shared,
}

/// The seat and the term that an object says it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The seat's UID.
    pub seat: &'a str,
    /// The term.
    pub term: Term,
}

/// A pod as another object names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodRef<'a> {
    /// The pod's UID.
    pub id: &'a str,
    /// The pod's name.
    pub name: &'a str,
}

/// A seat as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSeat<'a> {
    /// The seat's UID.
    pub seat: &'a str,
    /// The name of the record. Two seats of one name are the older and the newer seat of one group.
    pub record: &'a str,
    /// The term; `None` where the record counts none.
    pub term: Option<Term>,
    /// The UID of the pod that truly holds the seat; `None` if no pod does.
    pub holder: Option<&'a str>,
    /// How the writer uses the term.
    pub term_use: TermUse,
    /// Whose write it is.
    pub author: Author,
}

/// One address of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The pod that the endpoint names.
    pub pod: PodRef<'a>,
    /// The address.
    pub address: Cow<'a, str>,
    /// Whether traffic is sent to it.
    pub ready: bool,
}

/// An `EndpointSlice` as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSlice<'a> {
    /// What tells this slice from every other: its UID, or any id that its feeder keeps to.
    pub id: &'a str,
    /// The slice's name, for texts.
    pub name: &'a str,
    /// The Service that it feeds; empty for none.
    pub service: &'a str,
    /// The address family.
    pub family: &'a str,
    /// The seat and the term that it follows, if it says so.
    pub stamp: Option<Stamp<'a>>,
    /// One entry for each address of each endpoint.
    pub endpoints: Vec<Endpoint<'a>>,
    /// Whose write it is.
    pub author: Author,
}

/// A pod as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPod<'a> {
    /// The pod's UID.
    pub id: &'a str,
    /// The pod's name, for texts.
    pub name: &'a str,
    /// The addresses that it has now.
    pub addresses: Vec<Cow<'a, str>>,
    /// Whether the pod counts as one that may be active: it was not told to end, has not ended, and belongs to its group, as far as
    /// the feeder looks at that.
    pub counts: bool,
    /// The labels that rules ask about.
    pub labels: Vec<Label<'a>>,
    /// The seat and the term that its marks name, if it has any.
    pub stamp: Option<Stamp<'a>>,
    /// Whose write it is.
    pub author: Author,
}

/// A Service as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredService<'a> {
    /// The Service's UID.
    pub id: &'a str,
    /// The Service's name.
    pub name: &'a str,
    /// What it selects pods by; empty for none.
    pub selector: Vec<Label<'a>>,
    /// The seat and the term that its marks name, if it has any.
    pub stamp: Option<Stamp<'a>>,
    /// Whose write it is.
    pub author: Author,
}

/// A write of hotstandby to a pod's role label or to a Service's selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoute<'a> {
    /// A pod or a Service.
    pub kind: Kind,
    /// The pod's UID or the Service's name.
    pub object: &'a str,
    /// The object's name, for texts.
    pub name: &'a str,
    /// The pod that the object leads traffic to after the write: the labelled pod itself, or the pod that a selector names.
    pub leads_to: Leads<'a>,
    /// The seat and the term that the write names.
    pub stamp: Option<Stamp<'a>>,
}

/// Where a write of hotstandby leads traffic to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads<'a> {
    /// To this pod.
    To(PodRef<'a>),
    /// To no pod.
    Nowhere,
    /// Where the object led before: the write changes something else.
    AsBefore,
}
