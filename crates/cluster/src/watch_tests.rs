//! Lists and watches against a server that is a closure.

use super::*;
use crate::testing::failure;
use crate::wire::WirePod;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;

/// What the server answers next: a status and a body, lines for a watch.
type Script = Arc<Mutex<std::collections::VecDeque<(u16, String)>>>;

/// A client whose requests take the next answer of the script, and then none ever again.
fn scripted(answers: Vec<(u16, String)>) -> (Client, Arc<Mutex<Vec<String>>>) {
    let script: Script = Arc::new(Mutex::new(answers.into()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        log.lock().unwrap().push(request.uri().to_string());
        let next = script.lock().unwrap().pop_front();
        async move {
            let Some((code, body)) = next else { return std::future::pending().await };
            let response = Response::builder().status(code).body(Body::from(body.into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

fn pod(name: &str, rv: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": rv}})
}

fn list(items: &[Value], rv: &str, more: &str) -> (u16, String) {
    let meta = json!({"resourceVersion": rv, "continue": more});
    (200, json!({"apiVersion": "v1", "kind": "PodList", "metadata": meta, "items": items}).to_string())
}

fn events(events: &[(&str, Value)]) -> (u16, String) {
    let lines =
        events.iter().map(|(kind, object)| json!({"type": kind, "object": object}).to_string() + "\n");
    (200, lines.collect())
}

fn name(event: &Event<WirePod>) -> String {
    let of = |pod: &WirePod| pod.metadata.name.clone().unwrap();
    match event {
        Event::Begin => "begin".to_owned(),
        Event::Listed(pod) => format!("listed {}", of(pod)),
        Event::Done(generation) => format!("done {generation}"),
        Event::Applied(pod) => format!("applied {}", of(pod)),
        Event::Deleted(pod) => format!("deleted {}", of(pod)),
        Event::Refused(why) => format!("refused {}", why.is_some()),
    }
}

struct Running {
    told: mpsc::Receiver<String>,
    asked: Arc<Mutex<Vec<String>>>,
    ages: WatchAges,
    relister: Relister,
}

fn start(answers: Vec<(u16, String)>) -> Running {
    let (client, asked) = scripted(answers);
    let (sink, told) = mpsc::channel(100);
    let (ages, relister) = (WatchAges::default(), Relister::default());
    let (to_ages, to_relister) = (ages.clone(), relister.clone());
    tokio::spawn(async move {
        let api: Api<WirePod> = Api::all(client);
        run_watch(api, WatchSetup::all("pods"), &to_relister, &to_ages, sink, |event| name(&event)).await;
    });
    Running { told, asked, ages, relister }
}

impl Running {
    async fn expect(&mut self, expected: &[&str]) {
        for one in expected {
            let told = timeout(Duration::from_mins(1), self.told.recv()).await.expect("told in time");
            assert_eq!(told.as_deref(), Some(*one));
        }
    }

    /// The version each request since `from` was asked with; empty for a list.
    fn versions(&self, from: usize) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let of = |uri: &String| {
            let version = uri.split(['?', '&']).find_map(|part| part.strip_prefix("resourceVersion="));
            version.unwrap_or_default().to_owned()
        };
        asked.iter().skip(from).map(of).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn pages_make_one_list_and_a_watch_resumes_where_it_was() {
    let mut running = start(vec![
        list(&[pod("a", "1")], "", "more"),
        list(&[pod("b", "2")], "5", ""),
        events(&[
            ("ADDED", pod("c", "6")),
            ("DELETED", pod("a", "7")),
            ("BOOKMARK", json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}})),
        ]),
        events(&[("MODIFIED", pod("b", "10"))]),
    ]);
    running.expect(&["begin", "listed a", "listed b", "done 1", "applied c", "deleted a", "applied b"]).await;
    assert_eq!(running.versions(0)[..4], ["", "", "5", "9"]);
    assert!(running.ages.snapshot()[0].synced);
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_leads_to_a_new_list() {
    let (_, gone) = failure(410, "Expired");
    let mut running = start(vec![
        list(&[pod("a", "1")], "5", ""),
        events(&[("ERROR", gone.clone())]),
        list(&[], "8", ""),
        (410, gone.to_string()),
        list(&[pod("b", "9")], "9", ""),
    ]);
    running.expect(&["begin", "listed a", "done 1", "begin", "done 1", "begin", "listed b", "done 1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_off_begins_anew() {
    let (_, ill) = failure(500, "InternalError");
    let mut running = start(vec![
        list(&[pod("a", "1")], "", "more"),
        (500, ill.to_string()),
        list(&[pod("a", "1"), pod("b", "2")], "5", ""),
    ]);
    running.expect(&["begin", "listed a", "begin", "listed a", "listed b", "done 1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_named_until_it_ends() {
    let (_, refused) = failure(403, "Forbidden");
    let mut running = start(vec![(403, refused.to_string()), list(&[], "5", "")]);
    running.expect(&["begin", "refused true"]).await;
    while running.ages.snapshot()[0].error.is_none() {
        tokio::task::yield_now().await;
    }
    let age = running.ages.snapshot().remove(0);
    assert!(age.error.unwrap().contains("list pods: Forbidden (403)"));
    assert!(!age.synced);
    running.expect(&["begin", "done 1"]).await;
    assert_eq!(running.ages.snapshot()[0].error, None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_and_then_is_not_says_both() {
    let (_, refused) = failure(403, "Forbidden");
    let mut running = start(vec![
        list(&[], "5", ""),
        (403, refused.to_string()),
        (403, refused.to_string()),
        events(&[("ADDED", pod("a", "6"))]),
    ]);
    running.expect(&["begin", "done 1", "refused true", "refused true", "refused false", "applied a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nothing_is_given_up() {
    let mut running = start(vec![list(&[], "5", "")]);
    running.expect(&["begin", "done 1"]).await;
    // The script has ended: the watch's start is never answered.
    let started = Instant::now();
    while running.ages.snapshot()[0].error.is_none() {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(started.elapsed() <= START_TIMEOUT + Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_relist_is_told_with_its_generation() {
    let mut running = start(vec![list(&[pod("a", "1")], "5", "")]);
    running.expect(&["begin", "listed a", "done 1"]).await;
    assert_eq!(running.relister.relist(), 2);
    running.expect(&["begin"]).await;
}
