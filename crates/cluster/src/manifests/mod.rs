//! The install YAML, generated from Rust data.
