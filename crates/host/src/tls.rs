//! TLS for HTTPS probes: encrypted, not verified, as the kubelet does. A probe asks whether a server answers,
//! not who it is, and pods' certificates rarely name their addresses.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

static CONNECTOR: LazyLock<Result<TlsConnector, Error>> = LazyLock::new(|| {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Unverified { provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Each probe is a stranger: a resumed session could succeed where a new client fails.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
});

/// The connector, or why this build of rustls cannot make one.
pub(crate) fn connector() -> Result<&'static TlsConnector, &'static Error> {
    CONNECTOR.as_ref()
}

/// The name to ask for: the host's without its port, else the address (which is not sent).
pub(crate) fn server_name(
    host: Option<&str>,
    ip: IpAddr,
) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let Some(host) = host else { return Ok(ServerName::IpAddress(ip.into())) };
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') => name,
        _ => host,
    };
    ServerName::try_from(bare.to_owned())
}

#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_header_with_a_port_still_names_the_server() {
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        let name = |host| server_name(host, ip).unwrap().to_str().into_owned();
        assert_eq!(name(Some("web.example:8443")), "web.example");
        assert_eq!(name(Some("web.example")), "web.example");
        assert_eq!(name(None), "10.0.0.1");
        assert!(server_name(Some("not a name"), ip).is_err());
        assert!(connector().is_ok());
    }
}
