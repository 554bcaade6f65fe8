//! The writers of one install together.

use crate::pod_labels::LabelStore;
use crate::pointer::PointerStore;
use crate::seat::SeatStore;
use crate::slice::SliceStore;
use kube::Client;
use std::sync::Arc;

/// Everything that writes what follows a seat, and the seat itself.
#[derive(Clone)]
pub struct Stores {
    /// For seats.
    pub seats: Arc<SeatStore>,
    /// For slices.
    pub slices: SliceStore,
    /// For the labels of pods.
    pub labels: LabelStore,
    /// For the selectors of Services.
    pub pointers: PointerStore,
}

impl Stores {
    /// The stores of the install that marks what it writes with `controller`, with its seats in `namespace`.
    pub fn new(client: &Client, namespace: &str, controller: &Arc<str>) -> Self {
        Self {
            seats: Arc::new(SeatStore::new(client.clone(), namespace, Arc::clone(controller))),
            slices: SliceStore::new(client.clone(), Arc::clone(controller)),
            labels: LabelStore::new(client.clone(), Arc::clone(controller)),
            pointers: PointerStore::new(client.clone(), Arc::clone(controller)),
        }
    }
}
