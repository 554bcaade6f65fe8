//! The cluster's certificate authority, its certificates and the kubeconfigs made of them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use super::config::Spec;
use crate::paths::{CONTROL_PLANE_IP, Paths};

/// The first address of the Service range belongs to the API server.
const API_SERVICE_IP: &str = "10.96.0.1";

/// A signed certificate and its key, as PEM.
pub(crate) struct Signed {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// Signs certificates. Its key stays in the state folder, so that users can be made up later.
pub(crate) struct Authority {
    cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn make(paths: &Paths) -> Result<Self> {
        let key = KeyPair::generate()?;
        let params = authority_params();
        let cert = params.self_signed(&key)?.pem();
        write_secret(&paths.pki().join("ca.crt"), &cert)?;
        write_secret(&paths.pki().join("ca.key"), &key.serialize_pem())?;
        Ok(Self { cert, issuer: Issuer::new(params, key) })
    }

    /// The authority of a cluster that is up.
    pub(crate) fn load(paths: &Paths) -> Result<Self> {
        let read = |file: &str| {
            let path = paths.pki().join(file);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let (cert, key) = (read("ca.crt")?, KeyPair::from_pem(&read("ca.key")?)?);
        // Made of the same parameters as at the start, so the certificate need not be taken apart.
        Ok(Self { cert, issuer: Issuer::new(authority_params(), key) })
    }

    /// Signs a certificate for a user name and a group, and for addresses and names if it shall serve.
    pub(crate) fn sign(&self, user: &str, group: Option<&str>, serves_as: &[&str]) -> Result<Signed> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = serves_as.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = name(user, group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed { cert, key: key.serialize_pem() })
    }

    /// The authority's certificate as PEM.
    pub(crate) fn cert(&self) -> &str {
        &self.cert
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("hotstandby-testbed", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn name(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, user);
    name
}

/// Makes the authority, everybody's certificates and the kubeconfigs; `host_port` is the relay's.
pub(crate) fn create(spec: &Spec, host_port: u16) -> Result<()> {
    let paths = &spec.paths;
    let pki = paths.pki();
    fs::create_dir_all(&pki).with_context(|| format!("making {}", pki.display()))?;
    let authority = Authority::make(paths)?;
    let token_key = KeyPair::generate()?;
    write_secret(&pki.join("sa.key"), &token_key.serialize_pem())?;
    write_secret(&pki.join("sa.pub"), &token_key.public_key_pem())?;

    let names = [
        CONTROL_PLANE_IP,
        API_SERVICE_IP,
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    write_pair(&pki, "apiserver", &authority.sign("kube-apiserver", None, &names)?)?;

    let clients = [
        ("admin", "admin", Some("system:masters")),
        ("controller-manager", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
        ("proxy", "system:kube-proxy", None),
        ("coredns", super::dns::USER, None),
    ];
    for (file, user, group) in clients {
        let signed = authority.sign(user, group, &[])?;
        if file == "admin" {
            // The API server shows this one to kubelets.
            write_pair(&pki, file, &signed)?;
            let host = for_certificate(&authority, &host_server(host_port), &signed);
            write_kubeconfig(&paths.host_kubeconfig(file), &host)?;
        }
        let inside = for_certificate(&authority, &inside_server(), &signed);
        write_kubeconfig(&paths.kubeconfig(file), &inside)?;
    }
    for node in spec.nodes() {
        let user = format!("system:node:{}", node.name());
        let signed = authority.sign(&user, Some("system:nodes"), &[&node.ip()])?;
        write_pair(&pki, &node.name(), &signed)?;
        let inside = for_certificate(&authority, &inside_server(), &signed);
        write_kubeconfig(&paths.kubeconfig(&node.name()), &inside)?;
    }
    Ok(())
}

/// The API server's address inside the cluster's network.
pub(crate) fn inside_server() -> String {
    format!("https://{CONTROL_PLANE_IP}:6443")
}

/// The API server's address on the host, through the relay.
pub(crate) fn host_server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// A kubeconfig for a holder of a certificate.
pub(crate) fn for_certificate(authority: &Authority, server: &str, signed: &Signed) -> Value {
    kubeconfig(
        authority,
        server,
        &json!({
            "client-certificate-data": base64(signed.cert.as_bytes()),
            "client-key-data": base64(signed.key.as_bytes()),
        }),
    )
}

/// A kubeconfig for a holder of a token.
pub(crate) fn for_token(authority: &Authority, server: &str, token: &str) -> Value {
    kubeconfig(authority, server, &json!({ "token": token }))
}

fn kubeconfig(authority: &Authority, server: &str, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": {
            "server": server,
            "certificate-authority-data": base64(authority.cert().as_bytes()),
        }}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user"}}],
    })
}

/// Writes a kubeconfig that only its owner may read.
pub(crate) fn write_kubeconfig(path: &Path, content: &Value) -> Result<()> {
    write_secret(path, &serde_json::to_string_pretty(content)?)
}

fn write_pair(dir: &Path, name: &str, signed: &Signed) -> Result<()> {
    write_secret(&dir.join(format!("{name}.crt")), &signed.cert)?;
    write_secret(&dir.join(format!("{name}.key")), &signed.key)
}

fn write_secret(path: &Path, content: &str) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

/// Standard base64 with padding; the only place that needs it.
fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or_default();
            match ALPHABET.get(digit) {
                Some(letter) if place <= chunk.len() => out.push(char::from(*letter)),
                _ => out.push('='),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_the_standard_says() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn a_kubeconfig_is_one_kube_reads() {
        let dir = std::env::temp_dir().join(format!("hstb-pki-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = authority_params().self_signed(&key).unwrap().pem();
        let authority = Authority { cert, issuer: Issuer::new(authority_params(), key) };
        let signed = authority.sign("alice", Some("team"), &["127.0.0.1"]).unwrap();
        let path = dir.join("alice.kubeconfig");
        write_kubeconfig(&path, &for_certificate(&authority, &host_server(1234), &signed)).unwrap();
        let read = kube::config::Kubeconfig::read_from(&path).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("testbed"));
        let server = read.clusters[0].cluster.as_ref().unwrap().server.as_deref();
        assert_eq!(server, Some("https://127.0.0.1:1234"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
