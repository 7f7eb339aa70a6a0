//! The PATH search; all else of the launcher is seen through real processes in `tests/keeper`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory with `plain/tool` (not executable), `folder/tool/` and `good/tool`.
fn directory() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, mode) in [("plain", 0o644), ("good", 0o755)] {
        fs::create_dir(root.path().join(name)).unwrap();
        let file = root.path().join(name).join("tool");
        fs::write(&file, "").unwrap();
        fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir_all(root.path().join("folder/tool")).unwrap();
    root
}

fn look(path: &str, directory: Option<&Path>) -> Result<String, Errno> {
    let directory = directory.map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    search(&mut None, c"tool", path.as_bytes(), directory.as_deref()).map(|file| file.into_string().unwrap())
}

#[test]
fn the_first_executable_file_is_taken() {
    let root = directory();
    let root = root.path().to_str().unwrap();
    let path = format!("{root}/none:{root}/folder:{root}/plain:{root}/good");
    assert_eq!(look(&path, None), Ok(format!("{root}/good/tool")));
}

#[test]
fn a_file_that_may_not_be_executed_is_the_reason() {
    let root = directory();
    let root = root.path().to_str().unwrap();
    assert_eq!(look(&format!("{root}/plain:{root}/none"), None), Err(Errno::EACCES));
    assert_eq!(look(&format!("{root}/none"), None), Err(Errno::ENOENT));
}

#[test]
fn relative_entries_count_from_the_childs_directory() {
    let root = directory();
    assert_eq!(look("good", Some(root.path())), Ok("good/tool".to_owned()));
    assert_eq!(look("", Some(&root.path().join("good"))), Ok("tool".to_owned()));
    assert_eq!(look("good", None), Err(Errno::ENOENT));
}

#[test]
fn what_was_found_is_taken_again_while_it_can_be_executed() {
    let (root, mut last) = (directory(), None);
    let good = root.path().join("good/tool");
    let path = format!("{0}/plain:{0}/good", root.path().display());
    let mut look = |path: &str| search(&mut last, c"tool", path.as_bytes(), None);
    assert_eq!(look(&path).map(CString::into_bytes), Ok(good.as_os_str().as_bytes().to_owned()));
    // Only a new search would see that an earlier directory has it now.
    fs::set_permissions(root.path().join("plain/tool"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(look(&path).map(CString::into_bytes), Ok(good.as_os_str().as_bytes().to_owned()));
    fs::remove_file(&good).unwrap();
    let plain = root.path().join("plain/tool");
    assert_eq!(look(&path).map(CString::into_bytes), Ok(plain.as_os_str().as_bytes().to_owned()));
    assert_eq!(look("/none"), Err(Errno::ENOENT));
}

#[test]
fn what_a_relative_entry_could_hide_is_looked_for_again() {
    let (root, mut last) = (directory(), None);
    let path = format!("plain:{}/good", root.path().display());
    let mut look = |directory: &Path| {
        let directory = CString::new(directory.as_os_str().as_bytes()).unwrap();
        search(&mut last, c"tool", path.as_bytes(), Some(&directory)).map(CString::into_bytes)
    };
    fs::set_permissions(root.path().join("plain/tool"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        look(&root.path().join("good")),
        Ok(root.path().join("good/tool").into_os_string().into_encoded_bytes())
    );
    assert_eq!(look(root.path()), Ok(b"plain/tool".to_vec()));
}
