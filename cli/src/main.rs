//! maniple
fn main() {}
