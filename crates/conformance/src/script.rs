//! The language of the scenarios. A scenario is a list of steps that is complete before any request is sent.

use http::Method;
use serde_json::{Value, json};

/// A list of steps about one subject. Each scenario has its own namespace, which paths and bodies call `{ns}`.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name of the scenario and of its transcript.
    pub name: &'static str,
    /// The subject in a few words.
    pub about: &'static str,
    pub(super) steps: Vec<Step>,
    /// Paths of what it creates outside its namespace. They are deleted before and after it is played.
    pub(super) leftovers: Vec<&'static str>,
}

/// One step: what to do, and what to keep of the answer.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The name of the step. Later steps use it to take parts of this step's answer.
    pub(super) label: String,
    pub(super) act: Act,
    pub(super) look: Look,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Sends a request and reads the whole answer.
    Call(Call),
    /// Opens a watch. Later steps read its events.
    Open(Call),
    /// Reads the next events of a watch.
    Read { watch: &'static str, until: Until },
    /// Repeats a GET until its answer has this code. Other parts of a cluster bring that about.
    Await { path: String, code: u16 },
    /// Makes the server forget all versions before the newest.
    Compact,
}

/// When to stop reading a watch.
#[derive(Clone, Debug)]
pub(super) enum Until {
    /// After this number of events.
    Count(usize),
    /// After an event about the object of this name. All events before it are in the answer.
    Name(&'static str),
    /// When the server ends the watch.
    End,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path and the query.
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) accept: &'static str,
    /// The user that the administrator impersonates; empty for the administrator.
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

/// The body of a request. Strings in it may contain `{ns}`, and `{label:/pointer}` for a part of an earlier answer.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    /// A text, which need not be JSON.
    Text(&'static str),
    Bytes(Vec<u8>),
    /// An earlier answer with changes. A change sets the value at a pointer, or removes it if there is no value.
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

/// Returns a body that sends an earlier answer back.
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

/// Which parts of an answer the transcript keeps.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// Keep `managedFields` as they are, and not only the manager, operation and version of each entry.
    pub(super) managed: bool,
    /// Keep only some items of a list: the list's path, the member that identifies an item, and the values to keep.
    /// `*` in the path stands for every item of a list.
    pub(super) few: Vec<(&'static str, &'static str, Vec<&'static str>)>,
    /// Keep only these members of the answer. Empty keeps all.
    pub(super) only: Vec<&'static str>,
    /// The server lists several errors in an order that changes from one request to the next.
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

    /// Declares something that the scenario creates outside its namespace.
    pub(super) fn leaving(mut self, path: &'static str) -> Self {
        self.leftovers.push(path);
        self
    }

    fn add_step(mut self, label: &str, act: Act) -> Self {
        self.steps.push(Step { label: label.to_owned(), act, look: Look::default() });
        self
    }

    pub(super) fn call(self, label: &str, call: Call) -> Self {
        self.add_step(label, Act::Call(call))
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

    /// Opens a watch. [`Self::read`] reads its events by this label.
    pub(super) fn watch(self, label: &str, path: &str) -> Self {
        self.add_step(label, Act::Open(Call::new(Method::GET, path, Body::None)))
    }

    pub(super) fn watch_table(self, label: &str, path: &str) -> Self {
        self.add_step(label, Act::Open(Call::new(Method::GET, path, Body::None).accepting(TABLE)))
    }

    pub(super) fn read(self, label: &str, watch: &'static str, until: Until) -> Self {
        self.add_step(label, Act::Read { watch, until })
    }

    /// Waits until a GET is answered with 404.
    pub(super) fn gone(self, label: &str, path: &str) -> Self {
        self.add_step(label, Act::Await { path: path.to_owned(), code: 404 })
    }

    /// Waits until a GET is answered with 200.
    pub(super) fn served(self, label: &str, path: &str) -> Self {
        self.add_step(label, Act::Await { path: path.to_owned(), code: 200 })
    }

    pub(super) fn compact(self) -> Self {
        self.add_step("compact", Act::Compact)
    }

    /// Keeps the whole `managedFields` in the answer of the last step.
    pub(super) fn managed(self) -> Self {
        self.change_look(|look| look.managed = true)
    }

    /// Keeps only some items of a list in the answer of the last step: those whose member has one of these values.
    pub(super) fn few(self, list: &'static str, member: &'static str, which: &[&'static str]) -> Self {
        self.change_look(|look| look.few.push((list, member, which.to_vec())))
    }

    /// Keeps only these members of the answer of the last step.
    pub(super) fn only(self, members: &[&'static str]) -> Self {
        self.change_look(|look| look.only = members.to_vec())
    }

    /// Says that the answer of the last step lists several errors in an order that changes.
    pub(super) fn in_any_order(self) -> Self {
        self.change_look(|look| look.in_any_order = true)
    }

    fn change_look(mut self, change: impl FnOnce(&mut Look)) -> Self {
        if let Some(step) = self.steps.last_mut() {
            change(&mut step.look);
        }
        self
    }
}

impl Step {
    /// Returns the request as the transcript shows it.
    pub(super) fn show(&self) -> String {
        match &self.act {
            Act::Call(call) => call.show(),
            Act::Open(call) => format!("watch {}", call.show()),
            Act::Read { watch, until } => match until {
                Until::Count(count) => format!("{count} events of {watch}"),
                Until::Name(name) => format!("events of {watch} until {name}"),
                Until::End => format!("events of {watch} until it ends"),
            },
            Act::Await { path, code } => format!("GET {path} until {code}"),
            Act::Compact => "older versions are forgotten".to_owned(),
        }
    }

    /// Returns the body as the transcript shows it; empty if there is none.
    pub(super) fn show_body(&self) -> String {
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
    fn show(&self) -> String {
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
