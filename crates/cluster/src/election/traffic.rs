//! The one endpoint of a Service, written by the pod itself: its v1 Endpoints where they exist, else a slice of our own.
//!
//! Members of an older kind write the Endpoints, and a controller mirrors those into a slice. Were a slice of our own to stand
//! beside them, the Service would have two endpoints. So only one of the two kinds ever holds an address: before one is
//! written, the other is emptied. Nothing is deleted; that needs a right more than to write.

use super::link::{CallError, Link};
use crate::call::Verb;
use crate::names;
use crate::seat::FIELD_MANAGER;
use crate::slice::slice_name;
use hotstandby_core::ids::{Term, Uid};
use hotstandby_core::observation::WriteError;
use hotstandby_core::view::Family;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

mod objects;

/// A port as `Endpoints` write it.
pub use k8s_openapi::api::core::v1::EndpointPort as Port;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The Endpoints where they exist or slices may not be written, else a slice.
    Auto,
    /// The Endpoints.
    Endpoints,
    /// A slice.
    Slice,
}

/// The Service and this pod.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSettings {
    /// The Service's name.
    pub service: String,
    /// Its namespace, and the endpoint's.
    pub namespace: String,
    /// The endpoint's ports.
    pub ports: Vec<Port>,
    /// The endpoint's address.
    pub ip: IpAddr,
    /// Its node.
    pub node: Option<String>,
    /// The pod's name, where it is known for certain.
    pub pod: Option<String>,
    /// What to write.
    pub mode: Mode,
}

/// Which kind of object holds the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// v1 Endpoints.
    Endpoints,
    /// An EndpointSlice of our own.
    Slice,
}

/// Tries against an object that keeps changing.
const TRIES: u32 = 4;

/// Whose endpoint an object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    lease: Uid,
    term: Term,
}

/// Writes the endpoint of one Service.
pub struct TrafficStore {
    link: Arc<Link>,
    settings: ServiceSettings,
    pod_uid: Option<String>,
    published: Mutex<Option<Kind>>,
}

/// An older term never overwrites a newer one.
fn check(what: &str, found: Option<Stamp>, own: &Stamp) -> Result<(), WriteError> {
    match found {
        Some(found) if found.lease == own.lease && found.term > own.term => {
            let text = format!("{what}: it already carries term {} of Lease {}", found.term, found.lease);
            Err(WriteError::Refused(text.into()))
        }
        _ => Ok(()),
    }
}

fn stamp(annotations: Option<&BTreeMap<String, String>>) -> Option<Stamp> {
    let annotations = annotations?;
    let term = annotations.get(names::TERM)?.parse().ok()?;
    Some(Stamp { lease: annotations.get(names::SEAT_UID)?.as_str().into(), term: Term(term) })
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn is_forbidden<T>(outcome: &Result<T, CallError>) -> bool {
    matches!(outcome, Err(CallError::Forbidden(_)))
}

impl TrafficStore {
    /// For this Service and pod.
    pub fn new(link: Arc<Link>, settings: ServiceSettings, pod_uid: Option<String>) -> Self {
        Self { link, settings, pod_uid, published: Mutex::new(None) }
    }

    /// What holds the endpoint, once it was published.
    pub fn published(&self) -> Option<Kind> {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this pod the one endpoint, unless a later term already stands there. The whole takes no longer than `limit`.
    pub async fn publish(&self, lease: &Uid, term: Term, limit: Duration) -> Result<(), WriteError> {
        let stamp = &Stamp { lease: lease.clone(), term };
        self.limited("publish the endpoint", limit, || self.publish_once(stamp, limit)).await
    }

    async fn publish_once(&self, stamp: &Stamp, limit: Duration) -> Result<(), WriteError> {
        // A read each, at once; which of the two is written depends on both.
        let (endpoints, slice) = tokio::join!(self.read_endpoints(limit), self.read_slice(limit));
        let kind = match self.settings.mode {
            Mode::Endpoints => Kind::Endpoints,
            Mode::Auto if matches!(endpoints, Ok(Some(_))) => Kind::Endpoints,
            // An answer that says nothing: which one it is must not be guessed.
            Mode::Auto if matches!(endpoints, Err(CallError::Other(_))) => return Ok(endpoints.map(drop)?),
            Mode::Auto if is_forbidden(&slice) => Kind::Endpoints,
            Mode::Slice | Mode::Auto => Kind::Slice,
        };
        self.publish_as(kind, stamp, endpoints, slice, limit).await
    }

    async fn publish_as(
        &self,
        kind: Kind,
        stamp: &Stamp,
        endpoints: Result<Option<Endpoints>, CallError>,
        slice: Result<Option<EndpointSlice>, CallError>,
        limit: Duration,
    ) -> Result<(), WriteError> {
        // Noted first: an answer that is lost may still have been carried out.
        self.note(kind);
        match kind {
            Kind::Endpoints => {
                // Whoever may not read slices has never written one.
                if !is_forbidden(&slice) {
                    self.empty_slice(slice?, stamp, limit).await?;
                }
                self.write_endpoints(endpoints?, stamp, true, limit).await?;
            }
            Kind::Slice => {
                if !is_forbidden(&endpoints) {
                    self.empty_endpoints(endpoints?, stamp, limit).await?;
                }
                let written = self.write_slice(slice?, stamp, limit).await;
                if self.settings.mode == Mode::Auto && is_forbidden(&written) {
                    // May read slices but not write them.
                    self.note(Kind::Endpoints);
                    return Ok(self.write_endpoints(None, stamp, true, limit).await?);
                }
                written?;
            }
        }
        Ok(())
    }

    fn note(&self, kind: Kind) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
    }

    /// Removes the endpoint, if it is still this pod's at this term. The whole takes no longer than `limit`.
    pub async fn remove(&self, lease: &Uid, term: Term, limit: Duration) -> Result<(), WriteError> {
        let stamp = &Stamp { lease: lease.clone(), term };
        self.limited("remove the endpoint", limit, || self.remove_once(stamp, limit)).await
    }

    async fn remove_once(&self, own: &Stamp, limit: Duration) -> Result<(), WriteError> {
        match self.published() {
            None => Ok(()),
            Some(Kind::Endpoints) => match self.read_endpoints(limit).await? {
                Some(found) if stamp(found.metadata.annotations.as_ref()).as_ref() == Some(own) => {
                    Ok(self.empty_endpoints(Some(found), own, limit).await?)
                }
                Some(_) | None => Ok(()),
            },
            Some(Kind::Slice) => match self.read_slice(limit).await? {
                Some(found) if stamp(found.metadata.annotations.as_ref()).as_ref() == Some(own) => {
                    Ok(self.empty_slice(Some(found), own, limit).await?)
                }
                Some(_) | None => Ok(()),
            },
        }
    }

    /// Several tries where somebody else writes meanwhile: each reads anew.
    async fn limited<F>(&self, what: &str, limit: Duration, once: impl Fn() -> F) -> Result<(), WriteError>
    where
        F: Future<Output = Result<(), WriteError>>,
    {
        let tries = async {
            for _ in 1..TRIES {
                match once().await {
                    Err(WriteError::Conflict) => {}
                    outcome => return outcome,
                }
            }
            once().await
        };
        let late = |_| WriteError::Unknown(format!("{what}: not done within {limit:?}").into());
        tokio::time::timeout(limit, tries).await.map_err(late)?
    }

    async fn read_endpoints(&self, limit: Duration) -> Result<Option<Endpoints>, CallError> {
        let get = |client| async move {
            Api::<Endpoints>::namespaced(client, &self.settings.namespace)
                .get_opt(&self.settings.service)
                .await
        };
        let mut found: Option<Endpoints> =
            self.link.call(Verb::Read, &self.what("read Endpoints"), limit, get).await?;
        if let Some(found) = &mut found {
            found.metadata.managed_fields = None;
        }
        Ok(found)
    }

    async fn read_slice(&self, limit: Duration) -> Result<Option<EndpointSlice>, CallError> {
        let name = &self.slice_name();
        let get = |client| async move {
            Api::<EndpointSlice>::namespaced(client, &self.settings.namespace).get_opt(name).await
        };
        let mut found: Option<EndpointSlice> =
            self.link.call(Verb::Read, &self.what("read slice"), limit, get).await?;
        if let Some(found) = &mut found {
            found.metadata.managed_fields = None;
        }
        Ok(found)
    }

    /// Writes the Endpoints, with this pod in them or nobody.
    async fn write_endpoints(
        &self,
        found: Option<Endpoints>,
        stamp: &Stamp,
        present: bool,
        limit: Duration,
    ) -> Result<(), CallError> {
        let what = &self.what("write Endpoints");
        let wanted = &self.endpoints(found.clone(), stamp, present);
        let Some(found) = found else {
            let post = |client| async move {
                Api::<Endpoints>::namespaced(client, &self.settings.namespace).create(&params(), wanted).await
            };
            return self.link.call(Verb::Create, what, limit, post).await.map(drop);
        };
        check(what, self::stamp(found.metadata.annotations.as_ref()), stamp)?;
        if found == *wanted {
            return Ok(());
        }
        let put = |client| async move {
            let api = Api::<Endpoints>::namespaced(client, &self.settings.namespace);
            api.replace(&self.settings.service, &params(), wanted).await
        };
        self.link.call(Verb::Change, what, limit, put).await.map(drop)
    }

    /// Takes every address out of the Endpoints, if there is one.
    async fn empty_endpoints(
        &self,
        found: Option<Endpoints>,
        stamp: &Stamp,
        limit: Duration,
    ) -> Result<(), CallError> {
        match found {
            Some(found) if objects::has_addresses(&found) => {
                self.write_endpoints(Some(found), stamp, false, limit).await
            }
            _ => Ok(()),
        }
    }

    /// Writes our slice, with this pod in it.
    async fn write_slice(
        &self,
        found: Option<EndpointSlice>,
        stamp: &Stamp,
        limit: Duration,
    ) -> Result<(), CallError> {
        let what = &self.what("write slice");
        let Some(found) = found else {
            let wanted = &self.slice(None, self.service_uid(limit).await, stamp, true);
            let post = |client| async move {
                let api = Api::<EndpointSlice>::namespaced(client, &self.settings.namespace);
                api.create(&params(), wanted).await
            };
            return self.link.call(Verb::Create, what, limit, post).await.map(drop);
        };
        self.replace_slice(found, stamp, true, limit).await
    }

    /// Takes the address out of our slice, if there is one.
    async fn empty_slice(
        &self,
        found: Option<EndpointSlice>,
        stamp: &Stamp,
        limit: Duration,
    ) -> Result<(), CallError> {
        match found {
            Some(found) if !found.endpoints.is_empty() => {
                self.replace_slice(found, stamp, false, limit).await
            }
            _ => Ok(()),
        }
    }

    async fn replace_slice(
        &self,
        found: EndpointSlice,
        stamp: &Stamp,
        present: bool,
        limit: Duration,
    ) -> Result<(), CallError> {
        let what = &self.what("write slice");
        let name = &self.slice_name();
        let annotations = found.metadata.annotations.as_ref();
        let other = annotations
            .and_then(|all| all.get(names::CONTROLLER))
            .filter(|name| *name != names::AWAIT_CONTROLLER);
        if let Some(other) = other {
            let text =
                format!("{what}: slice {name} belongs to {other}; let only one of the two lead the Service");
            return Err(WriteError::Refused(text.into()).into());
        }
        check(what, self::stamp(annotations), stamp)?;
        let wanted = &self.slice(Some(found.clone()), None, stamp, present);
        if found == *wanted {
            return Ok(());
        }
        let put = |client| async move {
            let api = Api::<EndpointSlice>::namespaced(client, &self.settings.namespace);
            api.replace(name, &params(), wanted).await
        };
        self.link.call(Verb::Change, what, limit, put).await.map(drop)
    }

    /// The Service's UID, so that the slice goes with it. Without the right to read it the slice has no owner.
    async fn service_uid(&self, limit: Duration) -> Option<String> {
        let get = |client| async move {
            Api::<Service>::namespaced(client, &self.settings.namespace).get_opt(&self.settings.service).await
        };
        let found = self.link.call(Verb::Read, &self.what("read Service"), limit, get).await;
        found.ok().flatten().and_then(|service| service.metadata.uid)
    }

    fn slice_name(&self) -> String {
        slice_name(&self.settings.service, Family::of(&self.settings.ip))
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} of Service {}/{}", self.settings.namespace, self.settings.service)
    }
}
