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
