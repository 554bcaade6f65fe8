//! The connections to the API server.
//!
//! Two clients, so that a large list never stands before a failover in one connection's queue. Each multiplexes
//! its calls over one HTTP/2 connection that is kept warm: no TLS handshake on the failover path. Pings
//! find a half-open connection within three seconds. No call is ever repeated behind the caller's back: a
//! write that got a 504 may have been applied.

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder, timeout::TimeoutLayer, util::MapFutureLayer};

/// How often an HTTP/2 connection that hears nothing is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long a ping may stay unanswered before the connection is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two TCP keep-alive probes, and before the first.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Unanswered TCP keep-alive probes before the kernel gives up.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent bytes may stay unacknowledged before the kernel gives up.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(3);
/// For TCP and TLS together: a listener that accepts and then says nothing must not hold us.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two calls that keep a connection warm.
const WARM_PERIOD: Duration = Duration::from_secs(5);
/// Between two tries to get a lost connection back.
const WARM_RETRY: Duration = Duration::from_millis(500);

/// How to find the API server.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// A kubeconfig file; `None`: `$KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; `None`: its current one.
    pub context: Option<String>,
}

/// The clients of one process.
#[derive(Clone)]
pub struct Clients {
    /// For what decides: seat, slices, live reads, status.
    pub decide: Client,
    /// For lists and watches, Events and anything that may wait.
    pub watch: Client,
    /// The namespace of the context or of the pod.
    pub default_namespace: String,
}

/// There is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig could not be used.
    #[error("reading the kubeconfig {path}: {source}; check --kubeconfig and --context")]
    Kubeconfig {
        /// The file, or where it was looked for.
        path: String,
        /// Why not.
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a service account.
    #[error("no kubeconfig and no service account found: {0}; pass --kubeconfig or run inside a cluster")]
    Infer(#[from] kube::config::InferConfigError),
    /// A part of the configuration cannot be used.
    #[error("the API server's configuration cannot be used: {0}")]
    Config(#[from] kube::Error),
    /// A proxy is asked for.
    #[error("proxy {0} is set for the API server, and proxies are not supported; remove proxy-url")]
    Proxy(http::Uri),
    /// `tls-server-name` is no name.
    #[error("tls-server-name {0:?} is no valid server name; correct the kubeconfig")]
    ServerName(String),
}

impl Clients {
    /// Finds the configuration and prepares the clients; connects lazily, see [`keep_warm`].
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        Self::from_config(&find_config(options).await?)
    }

    /// The clients of a configuration at hand.
    pub fn from_config(config: &Config) -> Result<Self, ConnectError> {
        Ok(Self {
            decide: client(config)?,
            watch: client(config)?,
            default_namespace: config.default_namespace.clone(),
        })
    }
}

async fn find_config(options: &ConnectOptions) -> Result<Config, ConnectError> {
    let wanted = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &options.kubeconfig {
        let failed = |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
        let file = Kubeconfig::read_from(path).map_err(failed)?;
        return Config::from_custom_kubeconfig(file, &wanted).await.map_err(failed);
    }
    if options.context.is_some() {
        return Config::from_kubeconfig(&wanted).await.map_err(|source| ConnectError::Kubeconfig {
            path: "of $KUBECONFIG or ~/.kube/config".to_owned(),
            source,
        });
    }
    Ok(Config::infer().await?)
}

/// One client with a connection of its own.
fn client(config: &Config) -> Result<Client, ConnectError> {
    if let Some(proxy) = &config.proxy_url {
        return Err(ConnectError::Proxy(proxy.clone()));
    }
    let mut https =
        HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let resolved = name.clone().try_into().map_err(|_| ConnectError::ServerName(name.clone()))?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(resolved));
    }
    let connector = ServiceBuilder::new()
        // The pool wants futures that can be moved.
        .layer(MapFutureLayer::new(Box::pin as fn(_) -> _))
        .layer(TimeoutLayer::new(CONNECT_TIMEOUT))
        .service(https.enable_all_versions().wrap_connector(tcp()));
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        // The connection must still be there when the failover comes, however quiet the cluster was.
        .pool_idle_timeout(None)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    // The layers kube itself would use, but without its retry layer.
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
    tcp
}

/// Keeps a client's connection warm for ever, and tells after each try whether the server answered.
///
/// A lost connection is only made anew when somebody calls; that somebody must not be a failover. The call is a
/// GET of `/version`, which every authenticated user may do; any answer will do, a refusal too.
pub async fn keep_warm(client: Client, mut told: impl FnMut(Result<(), String>)) {
    loop {
        let answer = ping(&client).await;
        let pause = if answer.is_ok() { WARM_PERIOD } else { WARM_RETRY };
        told(answer);
        tokio::time::sleep(pause).await;
    }
}

/// One cheap call: whether the API server answers within the failover deadline.
pub async fn ping(client: &Client) -> Result<(), String> {
    let request = http::Request::get("/version").body(Body::empty()).map_err(|error| error.to_string())?;
    match tokio::time::timeout(crate::call::FAILOVER_DEADLINE, client.send(request)).await {
        Ok(Ok(_any_status)) => Ok(()),
        Ok(Err(error)) => Err(crate::call::chain(&error)),
        Err(_elapsed) => Err(format!("no answer within {:?}", crate::call::FAILOVER_DEADLINE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_kubeconfig_is_named() {
        let options = ConnectOptions { kubeconfig: Some("/does/not/exist".into()), context: None };
        let error = Clients::connect(&options).await.err().unwrap().to_string();
        assert!(error.contains("/does/not/exist"), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_is_refused_rather_than_passed_by() {
        let mut config = Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        config.proxy_url = Some(http::Uri::from_static("http://proxy.example:3128"));
        assert!(matches!(Clients::from_config(&config), Err(ConnectError::Proxy(_))));
    }

    #[tokio::test]
    async fn a_listener_that_says_nothing_does_not_hold_a_call() {
        // Accepts in the kernel, and nobody ever answers the TLS handshake.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
        let mut config = Config::new(uri);
        config.accept_invalid_certs = true;
        let clients = Clients::from_config(&config).unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(5), ping(&clients.decide)).await;
        assert!(outcome.expect("the call ends by itself").is_err());
    }
}
