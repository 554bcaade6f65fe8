//! Asking the cluster's DNS, as a program on one of its machines would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::netns::in_netns;
use crate::paths::{CLUSTER_DOMAIN, DNS_IP};

/// A datagram may get lost; who asks again sees that.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const TRIES: u16 = 3;
/// The largest answer without extensions.
const MAX_ANSWER: usize = 512;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Names and ports.
    Srv,
}

impl Kind {
    fn code(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Srv => TYPE::SRV,
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A name and a port.
    Target(String, u16),
}

/// What was answered. A name that does not exist has no records; that is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether there is such a name at all.
    pub exists: bool,
    /// The records of the kind that was asked for, sorted.
    pub records: Vec<Record>,
    /// For how many seconds they may be kept; the smallest.
    pub ttl_s: Option<u32>,
}

impl Answer {
    /// The addresses.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.records
            .iter()
            .filter_map(|record| match record {
                Record::Address(ip) => Some(*ip),
                Record::Target(..) => None,
            })
            .collect()
    }
}

/// The whole name of a Service.
pub fn service_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// Asks the cluster's DNS from a machine. Blocks: from async code use `spawn_blocking`.
pub fn resolve(netns: &Path, name: &str, kind: Kind) -> Result<Answer> {
    let server: SocketAddr = format!("{DNS_IP}:53").parse().context("the DNS' address")?;
    let name = name.to_owned();
    in_netns(netns, move || ask(server, &name, kind))?
}

/// Asks one server.
pub fn ask(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("opening a socket")?;
    socket.connect(server).with_context(|| format!("connecting to {server}"))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).context("limiting a read")?;
    let mut last = None;
    for id in 1..=TRIES {
        let query = query(id, name, kind)?;
        let asked = socket.send(&query).and_then(|_| {
            let mut buffer = [0_u8; MAX_ANSWER];
            let count = socket.recv(&mut buffer)?;
            Ok(buffer.get(..count).unwrap_or_default().to_vec())
        });
        match asked {
            Ok(answer) => {
                return parse(&answer, id, kind).with_context(|| format!("the answer about {name}"));
            }
            Err(error) => last = Some(error),
        }
    }
    let why = last.map(|error| error.to_string()).unwrap_or_default();
    bail!("the DNS at {server} did not answer about {name} in {TRIES} tries of {ANSWER_LIMIT:?}: {why}")
}

fn query(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    let name = Name::new(name).with_context(|| format!("'{name}' is no name"))?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind.code()), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().context("writing a query")
}

fn parse(answer: &[u8], id: u16, kind: Kind) -> Result<Answer> {
    let packet = Packet::parse(answer).context("reading an answer")?;
    // A late answer to an earlier try says the same.
    ensure!((1..=id).contains(&packet.id()), "an answer to another question");
    ensure!(!packet.has_flags(PacketFlag::TRUNCATION), "the answer is cut: too many records");
    let exists = match packet.rcode() {
        RCODE::NoError => true,
        RCODE::NameError => false,
        other => bail!("the DNS answered {other:?}"),
    };
    let mut records = Vec::new();
    let mut ttl_s = None;
    for record in &packet.answers {
        let found = match (&record.rdata, kind) {
            (RData::A(a), Kind::A) => Record::Address(Ipv4Addr::from(a.address).into()),
            (RData::AAAA(a), Kind::Aaaa) => Record::Address(Ipv6Addr::from(a.address).into()),
            (RData::SRV(srv), Kind::Srv) => Record::Target(srv.target.to_string(), srv.port),
            _ => continue,
        };
        records.push(found);
        ttl_s = Some(ttl_s.map_or(record.ttl, |least: u32| least.min(record.ttl)));
    }
    records.sort();
    Ok(Answer { exists, records, ttl_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, SRV};

    fn answered(id: u16, rdata: Vec<RData<'static>>) -> Vec<u8> {
        let mut packet = Packet::new_reply(id);
        for data in rdata {
            let name = Name::new_unchecked("web.t.svc.cluster.local");
            packet.answers.push(ResourceRecord::new(name, CLASS::IN, 30, data));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    #[test]
    fn a_query_is_one_question() {
        let bytes = query(7, "web.t.svc.cluster.local", Kind::A).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.id(), packet.questions.len()), (7, 1));
        assert!(query(7, &"x".repeat(70), Kind::A).is_err());
    }

    #[test]
    fn addresses_are_read_and_sorted() {
        let a = |last: u8| RData::A(A { address: Ipv4Addr::new(10, 88, 1, last).into() });
        let found = parse(&answered(2, vec![a(9), a(3)]), 2, Kind::A).unwrap();
        assert_eq!(found.addresses(), ["10.88.1.3".parse::<IpAddr>().unwrap(), "10.88.1.9".parse().unwrap()]);
        assert_eq!((found.exists, found.ttl_s), (true, Some(30)));
        assert!(parse(&answered(3, vec![]), 2, Kind::A).is_err(), "an answer to nobody's question");
    }

    #[test]
    fn targets_have_ports() {
        let target = Name::new_unchecked("web-0.web.t.svc.cluster.local");
        let srv = RData::SRV(SRV { priority: 0, weight: 100, port: 8080, target });
        let found = parse(&answered(1, vec![srv]), 1, Kind::Srv).unwrap();
        assert_eq!(found.records, [Record::Target("web-0.web.t.svc.cluster.local".into(), 8080)]);
    }

    #[test]
    fn a_silent_server_is_named() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        drop(silent);
        let error = ask(address, "web.t.svc.cluster.local", Kind::A).unwrap_err();
        assert!(error.to_string().contains("did not answer about web.t"), "{error}");
    }
}
