//! Commands that change objects; the group is told of them unless the change is `quietly` made.

use super::session::Session;
use super::words::Words;
use super::world::CONTROLLER;
use hotstandby_core::follow::HolderNames;
use hotstandby_core::ids::Term;
use hotstandby_core::notice::{NoticeBy, NoticeSpec, Role};
use hotstandby_core::reason::Reason;
use hotstandby_core::spec::{
    Election, Electors, Failback, FollowSpec, GroupSpec, Handover, OldActive, OrderBy, PortRef, ProbeKind,
    RoleLabel, SpecError, WhenNoCandidate,
};
use hotstandby_core::view::{
    Family, Mark, MemberView, NodeState, Phase, Protocol, SelectingService, ServiceFound, ServicePort,
    ServiceView,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs the command if it changes an object.
pub(super) fn change(session: &mut Session, verb: &str, rest: &str, quietly: bool) -> Result<bool, String> {
    let mut words = Words::parse(rest);
    match verb {
        "setup" => {
            setup(session, &mut words)?;
            words.finish()?;
            return Ok(true);
        }
        "group" => {
            group(session, &mut words)?;
            tell(quietly, session, Session::see_group);
        }
        "pod" => {
            pod(session, &mut words)?;
            tell(quietly, session, Session::see_pods);
        }
        "pod-gone" => {
            for name in words.rest() {
                let pod = session.world.pods.remove(&*name).ok_or("no such pod")?;
                session.world.gone_pods.push(pod);
            }
            tell(quietly, session, Session::see_pods);
        }
        "node" => {
            node(session, &mut words)?;
            tell(quietly, session, Session::see_nodes);
        }
        "nodes" => {
            session.world.nodes.control_plane_ill = words.next()? == "ill";
            tell(quietly, session, Session::see_nodes);
        }
        "service" => {
            service(session, &mut words)?;
            tell(quietly, session, Session::see_services);
        }
        "slice" => {
            slice(session, &mut words)?;
            tell(quietly, session, Session::see_services);
        }
        "seat" => {
            seat(session, &mut words)?;
            tell(quietly, session, Session::see_seat);
        }
        "lease" => {
            super::lease::write(session, &mut words)?;
            tell(quietly, session, Session::see_seat);
        }
        "rival" => {
            let pod = words.next()?;
            let reason = reason(words.value("reason"), Reason::ProbeTimedOut)?;
            let term = words.number("term")?;
            session.world.rival_seat(&pod, term, reason)?;
            tell(quietly, session, Session::see_seat);
        }
        _ => return Ok(false),
    }
    words.finish()?;
    Ok(true)
}

fn tell(quietly: bool, session: &mut Session, see: impl Fn(&mut Session)) {
    if !quietly {
        see(session);
    }
}

fn reason(text: Option<String>, default: Reason) -> Result<Reason, String> {
    text.map_or(Ok(default), |text| Reason::parse(&text).ok_or(format!("{text} is no reason")))
}

/// `setup PODS [group settings]`: a settled group, the first pod at term 7, everybody answered.
fn setup(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let pods: usize = words.next()?.parse().map_err(|_| "setup NUMBER")?;
    let bare = words.flag("bare");
    let selector = words.value("selector");
    group(session, words)?;
    let services = spec_of(session)?.services.clone();
    for name in services {
        let found = match &selector {
            Some(selector) => {
                ServiceFound::Selecting(Box::new(session.world.new_selecting(&name, selector)?))
            }
            None => ServiceFound::Usable(Box::new(session.world.new_service(&name))),
        };
        session.world.services.push(ServiceView { name, found });
    }
    for number in 0..pods {
        let pod = session.world.new_pod(&format!("web-{number}"));
        let node = pod.node.clone().expect("made with a node");
        session.world.nodes.nodes.insert(node, NodeState::Ready { since_ms: Some(0) });
        session.world.pods.insert(pod.name.clone(), pod);
    }
    if bare {
        session.see_all();
        return Ok(());
    }
    if session.world.followed().is_some() {
        session.world.mono += std::time::Duration::from_secs(2);
        super::lease::write(session, &mut Words::parse("web-0 term=7"))?;
    } else {
        session.world.rival_seat("web-0", Some(7), Reason::Initial)?;
    }
    session.see_all();
    session.settle();
    let pods: Vec<String> = session.world.pods.keys().map(ToString::to_string).collect();
    super::commands::run(session, &format!("probe {} ok", pods.join(" ")))?;
    session.out.clear();
    Ok(())
}

fn spec_of(session: &Session) -> Result<GroupSpec, String> {
    session.world.group.spec.as_ref().map(|spec| (**spec).clone()).map_err(ToString::to_string)
}

fn group(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let kept = spec_of(session);
    let mut spec = kept.unwrap_or_else(|_| GroupSpec::for_services(["web".into()]));
    let timing = &mut spec.timing;
    timing.period = words.duration("period")?.unwrap_or(timing.period);
    timing.timeout = words.duration("timeout")?.unwrap_or(timing.timeout);
    timing.failure_threshold = words.number("threshold")?.unwrap_or(timing.failure_threshold);
    match words.value("no-candidate").as_deref() {
        Some("Clear") => spec.when_no_candidate = WhenNoCandidate::Clear,
        Some(_) => spec.when_no_candidate = WhenNoCandidate::Keep,
        None => {}
    }
    if let Some(delay) = words.duration("failback")? {
        spec.failback = Failback::AfterDelay(delay);
    }
    if let Some(services) = words.value("services") {
        spec.services = services.split(',').map(Into::into).collect();
    }
    if let Some(probe) = words.value("probe") {
        spec.probe = probe_kind(&probe)?;
    }
    if let Some(order) = words.value("order") {
        spec.order = order.split(',').map(order_by).collect::<Result<_, _>>()?;
    }
    if let Some(mode) = words.value("election") {
        let holder = words.value("holder");
        let holder = holder.map_or_else(|| Ok(HolderNames::default()), |text| HolderNames::parse(&text))?;
        let lease = words.value("lease").unwrap_or_else(|| "lock".into()).into();
        let by = if mode == "Pods" { Electors::Pods } else { Electors::External };
        spec.election = match &*mode {
            "Controller" => Election::Controller,
            _ => Election::Others(FollowSpec { by, lease, holder }),
        };
    }
    roles(&mut spec, words)?;
    let bad = words.flag("bad");
    let paused = words.flag("paused");
    let resumed = words.flag("resumed");
    let view = &mut session.world.group;
    view.paused = paused || view.paused && !resumed;
    if let Some(request) = words.value("switchover") {
        view.switchover = (request != "none").then(|| request.into());
    }
    if let Some(term) = words.number("status-term")? {
        view.status_term = Some(Term(term));
    }
    if let Some(uid) = words.value("uid") {
        view.uid = uid.into();
    }
    view.generation = words.number("generation")?.unwrap_or(view.generation);
    view.spec = if bad {
        let remedy = "lower the timeout or raise the period";
        Err(SpecError::new("spec.detect.timeout", "2s > 1s", remedy))
    } else {
        spec.check().map(|()| Arc::new(spec))
    };
    Ok(())
}

/// `role=KEY:ACTIVE[:STANDBY] or none`, `pointed=SERVICE,… or none`, `notify=…`, `old-active=Delete or Keep`, `delete-critical`,
/// `strict`, `orphan`.
fn roles(spec: &mut GroupSpec, words: &mut Words) -> Result<(), String> {
    let in_selectors = words.flag("role-in-selectors");
    if let Some(role) = words.value("role") {
        let mut parts = role.split(':');
        let (key, active, standby) = (parts.next(), parts.next(), parts.next());
        spec.role_label = key.zip(active).map(|(key, active)| RoleLabel {
            key: key.into(),
            active: active.into(),
            standby: standby.map(Into::into),
            in_selectors,
        });
    }
    if let Some(pointed) = words.value("pointed") {
        spec.pointed = pointed.split(',').filter(|name| *name != "none").map(Into::into).collect();
    }
    if let Some(notices) = words.value("notify") {
        spec.notify = notices.split(',').map(notice_spec).collect::<Result<_, _>>()?;
    }
    if let Some(old) = words.value("old-active") {
        spec.old_active = if old == "Delete" { OldActive::Delete } else { OldActive::Keep };
    }
    spec.delete_critical |= words.flag("delete-critical");
    if words.flag("strict") {
        spec.handover = Handover::Strict;
    }
    Ok(())
}

/// `udp:PORT:TEXT[:ack][:both]` or `http:PORT:PATH[:both]`
fn notice_spec(text: &str) -> Result<NoticeSpec, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [kind, port, what, flags @ ..] = parts.as_slice() else { return Err(format!("{text} is no notice")) };
    let port = port.parse().map_err(|_| "no port")?;
    let by = if *kind == "udp" {
        NoticeBy::Udp { port, message: (*what).into() }
    } else {
        NoticeBy::Http { port, path: (*what).into(), tls: false }
    };
    let roles = if flags.contains(&"both") { vec![Role::Active, Role::Standby] } else { vec![Role::Active] };
    Ok(NoticeSpec {
        by,
        roles,
        acknowledge: flags.contains(&"ack"),
        interval: std::time::Duration::from_millis(200),
        timeout: std::time::Duration::from_millis(500),
        deadline: std::time::Duration::from_secs(1),
    })
}

fn probe_kind(text: &str) -> Result<ProbeKind, String> {
    let port = |text: &str| text.parse().map_or_else(|_| PortRef::Name(text.into()), PortRef::Number);
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["default"] => Ok(ProbeKind::DefaultTcp),
        ["tcp", number] => Ok(ProbeKind::Tcp(port(number))),
        ["http", path, number] => {
            let path = (*path).into();
            Ok(ProbeKind::Http { port: port(number), path, tls: false, host: None, status: None })
        }
        _ => Err(format!("{text} is no probe")),
    }
}

fn order_by(text: &str) -> Result<OrderBy, String> {
    Ok(match text {
        "Priority" => OrderBy::Priority,
        "NewestRevision" => OrderBy::NewestRevision,
        "LongestReady" => OrderBy::LongestReady,
        "OldestStart" => OrderBy::OldestStart,
        "Name" => OrderBy::Name,
        other => return Err(format!("{other} is no order")),
    })
}

/// `pod NAME [new] …`: changes a pod, or makes one that is Running and Ready.
fn pod(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let name = words.next()?;
    let fresh = words.flag("new");
    let had = session.world.pods.get(&*name).filter(|_| !fresh).cloned();
    let mut pod = had.unwrap_or_else(|| session.world.new_pod(&name));
    let (now_ms, world) = (session.world.unix_ms(), &mut session.world);
    pod.rv = world.next_rv();
    let turn = |pod: &mut MemberView, ready: bool| {
        if pod.ready != ready {
            (pod.ready, pod.ready_turned_ms) = (ready, Some(now_ms));
        }
    };
    if words.flag("ready") {
        turn(&mut pod, true);
    }
    if words.flag("not-ready") {
        turn(&mut pod, false);
    }
    pod.ready_said = !words.flag("unsaid");
    pod.terminating |= words.flag("terminating");
    pod.selected = (pod.selected || words.flag("selected")) && !words.flag("unselected");
    if let Some(ip) = words.value("ip") {
        pod.ips = match &*ip {
            "none" => Vec::new(),
            ip => ip.split(',').map(|ip| ip.parse().map_err(|_| "no address")).collect::<Result<_, _>>()?,
        };
    }
    if let Some(node) = words.value("node") {
        pod.node = Some(node.into());
    }
    if let Some(phase) = words.value("phase") {
        pod.phase = match &*phase {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Failed" => Phase::Failed,
            "Succeeded" => Phase::Succeeded,
            other => return Err(format!("{other} is no phase")),
        };
    }
    pod.priority = words.number("priority")?.unwrap_or(pod.priority);
    pod.revision = words.number("revision")?.unwrap_or(pod.revision);
    if let Some(seconds) = words.number::<i64>("turned")? {
        pod.ready_turned_ms = Some(seconds * 1000);
    }
    if let Some(instance) = words.value("critical") {
        pod.critical_terminated = (instance != "none").then(|| instance.into());
    }
    while let Some(label) = words.value("label") {
        let (key, value) = label.split_once('=').ok_or("label=KEY=VALUE")?;
        if value.is_empty() {
            pod.labels.remove(key)
        } else {
            pod.labels.insert(key.into(), value.into())
        };
    }
    if let Some(controller) = words.value("marked-by") {
        pod.mark = Some(Mark { controller: controller.into(), stamp: None, undo: BTreeMap::new() });
    }
    if let (Some(term), Some(seat)) = (words.number("stamped")?, &world.seat) {
        let stamp = Some((seat.uid.clone(), Term(term)));
        pod.mark = Some(Mark { controller: CONTROLLER.into(), stamp, undo: BTreeMap::new() });
    }
    pod.stateful |= words.flag("stateful");
    pod.mesh = words.value("mesh").map(|_| "istio").or(pod.mesh);
    if let Some(port) = words.value("port") {
        let (name, number) = port.split_once(':').ok_or("port=NAME:NUMBER")?;
        pod.named_ports.insert(name.into(), number.parse().map_err(|_| "no port")?);
    }
    world.pods.insert(pod.name.clone(), pod);
    Ok(())
}

fn node(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let name: Arc<str> = words.next()?.into();
    let since_ms =
        words.number::<i64>("since")?.map(|seconds| seconds * 1000).or(Some(session.world.unix_ms()));
    let nodes = &mut session.world.nodes;
    for word in words.rest() {
        let state = match &*word {
            "ready" => NodeState::Ready { since_ms },
            "not-ready" => NodeState::NotReady,
            "unknown" => NodeState::Unknown,
            "out-of-service" => NodeState::OutOfService,
            "gone" => NodeState::Gone,
            "preferred" => {
                nodes.preferred.push(name.clone());
                continue;
            }
            other => return Err(format!("{other} is no node state")),
        };
        nodes.nodes.insert(name.clone(), state);
    }
    Ok(())
}

fn service(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let name: Arc<str> = words.next()?.into();
    let at = session.world.services.iter().position(|service| service.name == name);
    let had = at.map(|at| session.world.services.remove(at).found);
    let mut usable = match &had {
        Some(ServiceFound::Usable(usable)) => (**usable).clone(),
        _ => session.world.new_service(&name),
    };
    if let Some(ports) = words.value("port") {
        usable.ports = ports.split(',').map(service_port).collect::<Result<_, _>>()?;
    }
    if let Some(families) = words.value("families") {
        let family = |text| if text == "6" { Family::Ipv6 } else { Family::Ipv4 };
        usable.families = families.split(',').map(family).collect();
    }
    if let Some(foreign) = words.value("foreign") {
        usable.foreign = if foreign == "none" { Vec::new() } else { vec![foreign.into()] };
    }
    if let (Some(controller), Some(ServiceFound::Selecting(had))) = (words.value("marked-by"), &had) {
        let mark = Some(Mark { controller: controller.into(), stamp: None, undo: BTreeMap::new() });
        let rv = session.world.next_rv();
        let found = ServiceFound::Selecting(Box::new(SelectingService { mark, rv, ..(**had).clone() }));
        session.world.services.insert(at.unwrap_or_default(), ServiceView { name, found });
        return Ok(());
    }
    let claimed = words.value("claimed-by").map(|other| ServiceFound::ClaimedBy(other.into()));
    let found = match words.rest().first().map(String::as_str) {
        Some("missing") => ServiceFound::Missing,
        Some("selector") => {
            let selector = words.value("selector").unwrap_or_else(|| "app=web".into());
            let fresh = session.world.new_selecting(&name, &selector)?;
            // The same Service, with what its user wrote anew: our marks stay, our keys go.
            let had = had.as_ref().and_then(ServiceFound::selecting);
            let kept = had.map_or_else(
                || fresh.clone(),
                |had| SelectingService {
                    selector: fresh.selector.clone(),
                    rv: fresh.rv.clone(),
                    ..had.clone()
                },
            );
            ServiceFound::Selecting(Box::new(kept))
        }
        Some("external") => ServiceFound::ExternalName,
        Some("usable") | None => claimed.unwrap_or(ServiceFound::Usable(Box::new(usable))),
        Some(other) => return Err(format!("{other} is no Service state")),
    };
    let at = at.unwrap_or(session.world.services.len());
    session.world.services.insert(at, ServiceView { name, found });
    Ok(())
}

/// `NAME:TARGET[/UDP]`
fn service_port(text: &str) -> Result<ServicePort, String> {
    let (name, target) = text.split_once(':').ok_or("port=NAME:TARGET")?;
    let (target, protocol) =
        target.strip_suffix("/UDP").map_or((target, Protocol::Tcp), |t| (t, Protocol::Udp));
    let target = target.parse().map_or_else(|_| PortRef::Name(target.into()), PortRef::Number);
    Ok(ServicePort { name: name.into(), protocol, target, app_protocol: None })
}

/// `slice SERVICE delete | edited [term=] [seat-uid=] [controller=]`: what somebody else does to a slice.
fn slice(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let name = words.next()?;
    let rv = session.world.next_rv();
    let what = words.next()?;
    let (seat_uid, term, controller) =
        (words.value("seat-uid"), words.number::<u64>("term")?, words.value("controller"));
    let usable = session.world.service(&name).ok_or("no such Service")?;
    if what == "delete" {
        usable.own.clear();
        session.world.forget_slices();
        return Ok(());
    }
    for slice in usable.own.values_mut() {
        slice.rv = rv.clone();
        slice.content = None;
        if let Some((stamp_uid, stamp_term)) = &mut slice.stamp {
            *stamp_uid = seat_uid.clone().map_or_else(|| stamp_uid.clone(), Into::into);
            *stamp_term = term.map_or(*stamp_term, Term);
        }
        if let Some(name) = &controller {
            slice.controller = Some(name.as_str().into());
        }
    }
    Ok(())
}

/// `seat delete | edited [holder=] [term=] [no-marks] [controller=]`: what somebody else does to the seat.
fn seat(session: &mut Session, words: &mut Words) -> Result<(), String> {
    let what = words.next()?;
    if what == "delete" {
        session.world.deleted_seat = session.world.seat.take();
        return Ok(());
    }
    let rv = session.world.next_rv();
    if what == "rolled-back" {
        let record = session.world.seat.as_mut().ok_or("no seat")?;
        let term = Term(words.number("term")?.ok_or("term=")?);
        (record.rv, record.term) = (rv, Some(term));
        if let Some(marks) = record.marks.as_mut() {
            marks.term = term;
        }
        return Ok(());
    }
    let holder = words.value("holder");
    let term = words.number("term")?;
    let controller = words.value("controller");
    let no_marks = words.flag("no-marks");
    let record = session.world.seat.as_mut().ok_or("no seat")?;
    record.rv = rv;
    if let Some(holder) = holder {
        record.holder = (holder != "nobody").then(|| holder.into());
    }
    record.term = term.map(Term).or(record.term);
    if no_marks {
        record.marks = None;
    }
    match controller.as_deref() {
        Some("ours") => record.controller = Some(CONTROLLER.into()),
        Some(other) => record.controller = (other != "none").then(|| other.into()),
        None => {}
    }
    Ok(())
}
