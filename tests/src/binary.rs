//! The binary under test: that of this workspace, with faults that can be injected, built once per test process.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Where the binary is.
pub fn maniple() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = root();
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--workspace", "--bins", "--features", "maniple/inject"])
            .current_dir(&root);
        // What cargo tells a test of its own package: a build script that looks at its package's (ring has one) would be
        // run anew for it, and all that depends on it be built anew, by this build and by the next one outside of a test.
        for (name, _) in std::env::vars_os() {
            let is_of_package =
                |text: &str| text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(is_of_package) {
                build.env_remove(name);
            }
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the binary under test does not build");
        let me = std::env::current_exe().expect("a test has a path");
        let profile = me.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
        profile.join("maniple")
    })
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The interpreter of the workspace's environment, where `make build` has made it; else the system's.
pub fn python() -> PathBuf {
    let own = root().join(".venv/bin/python");
    if own.exists() { own } else { PathBuf::from("python3") }
}
