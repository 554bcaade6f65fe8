//! One machine, one fear a test: what client-go's elections do, and what ours does beyond.

mod holding;
mod leaving;
mod taking;
