//! Faults of the way to the server, as data: somebody decides for each request.

use crate::audit::RequestInfo;
use std::sync::Arc;
use std::time::Duration;

/// What befalls a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It is answered with this HTTP status code and a `Status`, and does nothing.
    Fail(u16),
    /// It never arrives: the connection breaks.
    DropRequest,
    /// It is carried out, but its answer is lost: the connection breaks.
    DropAnswerAfterApplying,
    /// It arrives so much later.
    Delay(Duration),
}

/// Decides what befalls a request.
pub type FaultRule = Arc<dyn Fn(&RequestInfo) -> Fault + Send + Sync>;
