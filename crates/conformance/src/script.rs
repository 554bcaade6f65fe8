//! What a scenario is made of: steps, written down before any server is asked.

use http::Method;
use serde_json::{Value, json};

/// A list of steps with one thing in common. It has a namespace of its own, `{ns}` in paths and bodies.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, and that of its transcript.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    pub(super) steps: Vec<Step>,
    /// What it leaves behind outside its namespace; deleted before and after.
    pub(super) leftovers: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Later steps take parts of this step's answer by this name.
    pub(super) label: String,
    pub(super) act: Act,
    pub(super) look: Look,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A request and its answer.
    Call(Call),
    /// A request whose answer is read by later steps: a watch.
    Open(Call),
    /// The next events of a watch.
    Read { watch: &'static str, until: Until },
    /// Asks again and again until there is this code: for what other parts of a cluster do.
    Await { path: String, code: u16 },
    /// Forgets all versions but the newest.
    Compact,
}

/// How far a watch is read.
#[derive(Clone, Debug)]
pub(super) enum Until {
    /// So many events.
    Count(usize),
    /// Up to an event of the object of this name: so nothing is missed that came before it.
    Name(&'static str),
    /// Until the server ends it.
    End,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// With the query.
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) accept: &'static str,
    /// Whom the administrator plays.
    pub(super) user: &'static str,
    pub(super) body: Body,
}

impl Call {
    pub(super) fn new(method: Method, path: &str, body: impl Into<Body>) -> Self {
        let (path, body) = (path.to_owned(), body.into());
        Self { method, path, content_type: JSON, accept: JSON, user: "", body }
    }

    pub(super) fn typed(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    pub(super) fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    pub(super) fn by(self, user: &'static str) -> Self {
        Self { user, ..self }
    }
}

/// A request's body. Texts in it may hold `{ns}`, and `{label:/pointer}` for a part of an earlier answer.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    /// As it is.
    Text(&'static str),
    Bytes(Vec<u8>),
    /// An earlier answer with other values at some places; `None` removes.
    Edited {
        of: &'static str,
        edits: Vec<(&'static str, Option<Value>)>,
    },
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// An earlier answer, to be sent back.
pub(super) fn answer(of: &'static str) -> Body {
    Body::Edited { of, edits: Vec::new() }
}

impl Body {
    pub(super) fn with(self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.edit(pointer, Some(value.into()))
    }

    pub(super) fn without(self, pointer: &'static str) -> Self {
        self.edit(pointer, None)
    }

    fn edit(mut self, pointer: &'static str, value: Option<Value>) -> Self {
        if let Self::Edited { edits, .. } = &mut self {
            edits.push((pointer, value));
        }
        self
    }
}

/// What of an answer is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// `managedFields` as they are, and not only who wrote how.
    pub(super) managed: bool,
    /// Of lists of many things only some: where, by what, which. `*` in the place stands for every item.
    pub(super) few: Vec<(&'static str, &'static str, Vec<&'static str>)>,
    /// Only these members of an object.
    pub(super) only: Vec<&'static str>,
    /// The server names what is wrong in no order of its own.
    pub(super) in_any_order: bool,
}

pub(super) const JSON: &str = "application/json";
pub(super) const JSON_PATCH: &str = "application/json-patch+json";
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(super) const APPLY: &str = "application/apply-patch+yaml";
pub(super) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

impl Scenario {
    pub(super) fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, steps: Vec::new(), leftovers: Vec::new() }
    }

    /// How many answers it gives.
    pub fn len(&self) -> usize {
        self.steps.iter().filter(|step| !matches!(step.act, Act::Compact)).count()
    }

    /// Whether it has no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Says what it makes outside its namespace.
    pub(super) fn leaving(mut self, path: &'static str) -> Self {
        self.leftovers.push(path);
        self
    }

    fn step(mut self, label: &str, act: Act) -> Self {
        self.steps.push(Step { label: label.to_owned(), act, look: Look::default() });
        self
    }

    pub(super) fn call(self, label: &str, call: Call) -> Self {
        self.step(label, Act::Call(call))
    }

    pub(super) fn get(self, label: &str, path: &str) -> Self {
        self.call(label, Call::new(Method::GET, path, Body::None))
    }

    pub(super) fn table(self, label: &str, path: &str) -> Self {
        self.call(label, Call::new(Method::GET, path, Body::None).accepting(TABLE))
    }

    pub(super) fn post(self, label: &str, path: &str, body: impl Into<Body>) -> Self {
        self.call(label, Call::new(Method::POST, path, body))
    }

    pub(super) fn put(self, label: &str, path: &str, body: impl Into<Body>) -> Self {
        self.call(label, Call::new(Method::PUT, path, body))
    }

    pub(super) fn merge(self, label: &str, path: &str, body: Value) -> Self {
        self.call(label, Call::new(Method::PATCH, path, body).typed(MERGE))
    }

    pub(super) fn strategic(self, label: &str, path: &str, body: Value) -> Self {
        self.call(label, Call::new(Method::PATCH, path, body).typed(STRATEGIC))
    }

    pub(super) fn json_patch(self, label: &str, path: &str, body: Value) -> Self {
        self.call(label, Call::new(Method::PATCH, path, body).typed(JSON_PATCH))
    }

    pub(super) fn apply(self, label: &str, path: &str, body: Value) -> Self {
        self.call(label, Call::new(Method::PATCH, path, body).typed(APPLY))
    }

    pub(super) fn delete(self, label: &str, path: &str) -> Self {
        self.call(label, Call::new(Method::DELETE, path, Body::None))
    }

    pub(super) fn delete_with(self, label: &str, path: &str, options: &Value) -> Self {
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        for (name, value) in options.as_object().into_iter().flatten() {
            crate::json::put(&mut body, &[name.as_str()], value.clone());
        }
        self.call(label, Call::new(Method::DELETE, path, body))
    }

    /// Opens a watch; its events are read by [`Self::read`] under its label.
    pub(super) fn watch(self, label: &str, path: &str) -> Self {
        self.step(label, Act::Open(Call::new(Method::GET, path, Body::None)))
    }

    pub(super) fn watch_table(self, label: &str, path: &str) -> Self {
        self.step(label, Act::Open(Call::new(Method::GET, path, Body::None).accepting(TABLE)))
    }

    pub(super) fn read(self, label: &str, watch: &'static str, until: Until) -> Self {
        self.step(label, Act::Read { watch, until })
    }

    /// Waits until a GET is answered with 404.
    pub(super) fn gone(self, label: &str, path: &str) -> Self {
        self.step(label, Act::Await { path: path.to_owned(), code: 404 })
    }

    /// Waits until a GET is answered with 200.
    pub(super) fn served(self, label: &str, path: &str) -> Self {
        self.step(label, Act::Await { path: path.to_owned(), code: 200 })
    }

    pub(super) fn compact(self) -> Self {
        self.step("compact", Act::Compact)
    }

    /// Shows `managedFields` of the last step.
    pub(super) fn managed(self) -> Self {
        self.looking(|look| look.managed = true)
    }

    /// Keeps of a list in the last step's answer only the items whose member is one of these.
    pub(super) fn few(self, list: &'static str, member: &'static str, which: &[&'static str]) -> Self {
        self.looking(|look| look.few.push((list, member, which.to_vec())))
    }

    /// Keeps of the last step's answer only these members.
    pub(super) fn only(self, members: &[&'static str]) -> Self {
        self.looking(|look| look.only = members.to_vec())
    }

    /// The last step's answer names what is wrong in no order of its own.
    pub(super) fn in_any_order(self) -> Self {
        self.looking(|look| look.in_any_order = true)
    }

    fn looking(mut self, change: impl FnOnce(&mut Look)) -> Self {
        if let Some(step) = self.steps.last_mut() {
            change(&mut step.look);
        }
        self
    }
}

impl Step {
    /// The request as it is written in the transcript.
    pub(super) fn shown(&self) -> String {
        match &self.act {
            Act::Call(call) => call.shown(),
            Act::Open(call) => format!("watch {}", call.shown()),
            Act::Read { watch, until } => match until {
                Until::Count(count) => format!("{count} events of {watch}"),
                Until::Name(name) => format!("events of {watch} until {name}"),
                Until::End => format!("events of {watch} until it ends"),
            },
            Act::Await { path, code } => format!("GET {path} until {code}"),
            Act::Compact => "older versions are forgotten".to_owned(),
        }
    }

    /// The body as it is written in the transcript; empty for none.
    pub(super) fn shown_body(&self) -> String {
        match &self.act {
            Act::Call(call) => match &call.body {
                Body::None => String::new(),
                Body::Json(value) => value.to_string(),
                Body::Text(text) => (*text).to_owned(),
                Body::Bytes(bytes) => format!("{} bytes", bytes.len()),
                Body::Edited { of, edits } => {
                    let edits = edits.iter().map(|(pointer, value)| match value {
                        Some(value) => format!(", {pointer} = {value}"),
                        None => format!(", without {pointer}"),
                    });
                    format!("the answer to {of}{}", edits.collect::<String>())
                }
            },
            _ => String::new(),
        }
    }
}

impl Call {
    fn shown(&self) -> String {
        let mut text = format!("{} {}", self.method, self.path);
        if self.content_type != JSON {
            text = format!("{text}, {}", self.content_type);
        }
        if self.accept != JSON {
            text = format!("{text}, for {}", self.accept);
        }
        if !self.user.is_empty() {
            text = format!("{text}, as {}", self.user);
        }
        text
    }
}
