//! The way to the API server for one gatekeeper: calls with a deadline of the caller's choice, and a new connection after
//! one that did not answer.
//!
//! A half-open connection is found by pings within three seconds. Leases can be shorter than that, and a renewal that is tried
//! again on the same dead connection is lost again. So a call that ends without an answer takes its connection along.

use crate::call::{Verb, write_error};
use crate::connect::{Clients, ConnectError};
use hotstandby_core::observation::WriteError;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The clients, made anew when they must be.
pub struct Link {
    config: Config,
    clients: Mutex<Numbered>,
}

/// Why a call brought nothing. A right that is missing has a way out where there is another kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// There is no right to do it.
    Forbidden(WriteError),
    /// Anything else.
    Other(WriteError),
}

impl From<CallError> for WriteError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Forbidden(error) | CallError::Other(error) => error,
        }
    }
}

impl From<WriteError> for CallError {
    fn from(error: WriteError) -> Self {
        Self::Other(error)
    }
}

struct Numbered {
    clients: Clients,
    number: u64,
}

impl Link {
    /// Finds the configuration: this kubeconfig, or `$KUBECONFIG`, `~/.kube/config` or the pod's service account.
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Self, ConnectError> {
        let config = match kubeconfig {
            None => Config::infer().await?,
            Some(path) => {
                let failed = |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
            }
        };
        Self::new(config)
    }

    /// With a configuration at hand.
    pub fn new(config: Config) -> Result<Self, ConnectError> {
        let clients = Mutex::new(Numbered { clients: Clients::from_config(&config)?, number: 0 });
        Ok(Self { config, clients })
    }

    /// For a watch: a connection of its own, so that its stream never stands before a renewal.
    pub fn for_watch(&self) -> Client {
        self.with(|numbered| numbered.clients.watch.clone())
    }

    /// Runs one call, no longer than `limit`. `what` says what was tried, for the error text.
    pub async fn call<T, F>(
        &self,
        verb: Verb,
        what: &str,
        limit: Duration,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        // A little before the caller's patience ends, so that its next call already finds the new connection.
        let limit = limit.saturating_sub(limit / 10);
        let (client, number) = self.with(|numbered| (numbered.clients.decide.clone(), numbered.number));
        match tokio::time::timeout(limit, call(client)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let is_forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
                let error = write_error(verb, what, &error);
                Err(if is_forbidden { CallError::Forbidden(error) } else { CallError::Other(error) })
            }
            Err(_elapsed) => {
                self.give_up(number);
                let text = format!("{what}: no answer within {limit:?}");
                Err(CallError::Other(WriteError::Unknown(text.into())))
            }
        }
    }

    /// Leaves a connection that did not answer; once, however many calls waited on it.
    pub(crate) fn give_up(&self, number: u64) {
        // The configuration was good for the first clients; where it is not now (a CA file that went), they stay.
        let Ok(clients) = Clients::from_config(&self.config) else { return };
        self.with(|numbered| {
            if numbered.number == number {
                *numbered = Numbered { clients, number: number.wrapping_add(1) };
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Numbered) -> T) -> T {
        act(&mut self.clients.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
