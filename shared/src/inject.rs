//! Crashes on request, for fault tests and nothing else: `point("checkpointer")` marks a place where code may be made
//! to panic. Without the feature `inject`, which no release has, it compiles to nothing.
//!
//! With it, the environment variable `MANIPLE_INJECT` says which points panic: `panic:checkpointer@3` the third time
//! that this process comes by (once; `@1` may be left out), several separated by commas. Anything else in there makes
//! the first point panic, so that a fault test with a typing error cannot pass.

#[cfg(any(test, feature = "inject"))]
use std::sync::atomic::{AtomicU64, Ordering};

/// A place that a fault test can make panic.
#[cfg(not(feature = "inject"))]
#[inline(always)]
pub const fn point(_name: &str) {}

/// A place that a fault test can make panic.
#[cfg(feature = "inject")]
pub fn point(name: &str) {
    static PLAN: std::sync::LazyLock<Plan> = std::sync::LazyLock::new(|| {
        let text = std::env::var("MANIPLE_INJECT").unwrap_or_default();
        Plan::parse(&text).unwrap_or_else(|wrong| panic!("MANIPLE_INJECT: {wrong:?} is not panic:POINT@N"))
    });
    if PLAN.hit(name) {
        panic!("injected at {name}");
    }
}

/// Which points panic, at which pass.
#[cfg(any(test, feature = "inject"))]
struct Plan(Vec<Fault>);

#[cfg(any(test, feature = "inject"))]
struct Fault {
    point: String,
    pass: u64,
    passed: AtomicU64,
}

#[cfg(any(test, feature = "inject"))]
impl Plan {
    fn parse(text: &str) -> Result<Plan, &str> {
        text.split(',')
            .filter(|one| !one.is_empty())
            .map(|one| Fault::parse(one).ok_or(one))
            .collect::<Result<_, _>>()
            .map(Plan)
    }

    /// Counts one pass of this point; whether it is one to panic at.
    fn hit(&self, name: &str) -> bool {
        let due = |fault: &Fault| fault.passed.fetch_add(1, Ordering::Relaxed) + 1 == fault.pass;
        self.0.iter().filter(|fault| fault.point == name).filter(|fault| due(fault)).count() > 0
    }
}

#[cfg(any(test, feature = "inject"))]
impl Fault {
    fn parse(text: &str) -> Option<Fault> {
        let (point, pass) = match text.strip_prefix("panic:")?.split_once('@') {
            Some((point, pass)) => (point, pass.parse().ok().filter(|pass| *pass > 0)?),
            None => (text.strip_prefix("panic:")?, 1),
        };
        (!point.is_empty()).then(|| Fault { point: point.to_owned(), pass, passed: AtomicU64::new(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_panics_at_its_pass_and_only_once() {
        let plan = Plan::parse("panic:writer@3,panic:link").unwrap();
        let hits = |name| (0..5).map(|_| plan.hit(name)).collect::<Vec<_>>();
        assert_eq!(hits("writer"), [false, false, true, false, false]);
        assert_eq!(hits("link"), [true, false, false, false, false]);
        assert_eq!(hits("other"), [false; 5]);
    }

    #[test]
    fn one_point_may_panic_several_times() {
        let plan = Plan::parse("panic:link@1,panic:link@3").unwrap();
        assert_eq!((0..4).map(|_| plan.hit("link")).collect::<Vec<_>>(), [true, false, true, false]);
    }

    #[test]
    fn a_typing_error_is_named() {
        for wrong in ["panics:a", "panic:", "panic:a@0", "panic:a@x", "a@3"] {
            assert_eq!(Plan::parse(&format!("panic:ok,{wrong}")).err(), Some(wrong));
        }
        assert!(Plan::parse("").unwrap().0.is_empty());
    }
}
