//! All addresses of a namespace's Services, at every version of every EndpointSlice and Endpoints object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinHandle;

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    slices: BTreeMap<String, BTreeSet<String>>,
    endpoints: BTreeMap<String, BTreeSet<String>>,
    doubled: Vec<String>,
    led_to: Vec<String>,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Addresses {
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Addresses {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Addresses {
    /// Starts watching a namespace that holds one Service.
    pub fn watch(client: &Client, namespace: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), namespace);
        let of_slice = |slice: &EndpointSlice| -> BTreeSet<String> {
            slice.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect()
        };
        let endpoints = Api::<Endpoints>::namespaced(client.clone(), namespace);
        let of_endpoints = |object: &Endpoints| -> BTreeSet<String> {
            let subsets = object.subsets.iter().flatten();
            subsets
                .flat_map(|subset| [&subset.addresses, &subset.not_ready_addresses])
                .flat_map(|list| list.iter().flatten())
                .map(|address| address.ip.clone())
                .collect()
        };
        let tasks = vec![
            follow(slices, seen.clone(), |seen| &mut seen.slices, of_slice),
            follow(endpoints, seen.clone(), |seen| &mut seen.endpoints, of_endpoints),
        ];
        Self { seen, tasks }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every moment at which slices, or Endpoints, held more than one address, in words.
    pub fn doubled(&self) -> Vec<String> {
        self.seen().doubled.clone()
    }

    /// All addresses that clients were led to by slices, in their order.
    pub fn led_to(&self) -> Vec<String> {
        self.seen().led_to.clone()
    }
}

type Part = fn(&mut Seen) -> &mut BTreeMap<String, BTreeSet<String>>;

fn follow<K>(
    api: Api<K>,
    seen: Arc<Mutex<Seen>>,
    part: Part,
    of: fn(&K) -> BTreeSet<String>,
) -> JoinHandle<()>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    tokio::spawn(async move {
        let mut events = Box::pin(watcher(api, Config::default()));
        while let Some(event) = events.next().await {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let version = match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    part(&mut seen).insert(object.name_any(), of(&object));
                    object.resource_version()
                }
                Ok(Event::Delete(object)) => {
                    part(&mut seen).remove(&object.name_any());
                    object.resource_version()
                }
                Ok(Event::Init) => {
                    part(&mut seen).clear();
                    continue;
                }
                Ok(Event::InitDone) | Err(_) => continue,
            };
            let all = part(&mut seen).clone();
            let addresses: BTreeSet<&String> = all.values().flatten().collect();
            if addresses.len() > 1 {
                let version = version.unwrap_or_default();
                seen.doubled.push(format!("{} at resourceVersion {version}: {all:?}", K::kind(&())));
            }
            if K::kind(&()) == "EndpointSlice"
                && let Some(address) = addresses.first()
                && seen.led_to.last() != Some(address)
            {
                let address = (*address).clone();
                seen.led_to.push(address);
            }
        }
    })
}
