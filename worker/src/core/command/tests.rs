//! Templates and values, by example.

use super::*;

fn spec(argv: &[&str], fields: &[&str]) -> CommandSpec {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    CommandSpec { argv: owned(argv), fields: owned(fields), cwd: "/".to_owned(), ..CommandSpec::default() }
}

fn key(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

/// (2024, "007", 0.5)
fn row() -> Vec<u8> {
    key(|out| {
        encode::write_array_len(out, 3).unwrap();
        encode::write_uint(out, 2024).unwrap();
        encode::write_str(out, "007").unwrap();
        encode::write_f64(out, 0.5).unwrap();
    })
}

#[track_caller]
fn check(argv: &[&str], fields: &[&str], key: &[u8], expected: &[&str]) {
    let expanded = Template::new(&spec(argv, fields)).expand(key).expect("it fits");
    let texts: Vec<String> = expanded.into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn fields_are_laid_into_their_places() {
    check(&["run", "--day={1}", "{2}-{2}"], &[], &row(), &["run", "--day=2024", "007-007"]);
    check(&["run", "{code}", "{day}"], &["day", "code", "x"], &row(), &["run", "007", "2024"]);
    check(&["run", "{}", "last"], &[], &row(), &["run", "2024", "007", "0.5", "last"]);
    check(&["sh", "-c", "echo {}"], &[], &row(), &["sh", "-c", "echo 2024 007 0.5"]);
}

#[test]
fn without_places_the_fields_are_the_last_arguments() {
    check(&["run", "-v"], &[], &row(), &["run", "-v", "2024", "007", "0.5"]);
    let one = key(|out| encode::write_str(out, "a b").unwrap());
    check(&["echo"], &[], &one, &["echo", "a b"]);
    let negative = key(|out| encode::write_i64(out, -3).unwrap());
    check(&["echo"], &[], &negative, &["echo", "-3"]);
}

#[test]
fn other_braces_are_text() {
    check(&["awk", "{print $1} {0} {", "{1}"], &[], &row(), &["awk", "{print $1} {0} {", "2024"]);
}

#[test]
fn a_place_that_no_task_can_fill_is_known_before_any_task() {
    let named = |argv: &[&str]| Template::check(&spec(argv, &["day", "code"]), 2);
    let fine = ["run", "{}{1}{2}{day}", "{code}", "awk '{print $1}' {a,b} {1..3} { print }", "${HOME} {"];
    assert_eq!(named(&fine), Ok(()));
    let columns = || "day, code".to_owned();
    for (argument, name) in [("{cod}", "cod"), ("-x={day}{codes}", "codes"), ("{{day }{nächte}", "nächte")]
    {
        assert_eq!(named(&["run", argument]), Err(TemplateError::NoColumn(name.to_owned(), columns())));
    }
    assert_eq!(named(&["{x}", "{day}"]), Err(TemplateError::NoColumn("x".to_owned(), columns())));
    assert_eq!(named(&["run", "{1}{3}"]), Err(TemplateError::NoField("3".to_owned(), 2)));
    assert_eq!(named(&["run", "{0}"]), Err(TemplateError::NoField("0".to_owned(), 2)));
    let unnamed = |argument: &str| Template::check(&spec(&["run", argument], &[]), 1);
    assert_eq!(unnamed("{1} {name} {0}"), Ok(()));
    assert_eq!(unnamed("{2}"), Err(TemplateError::NoField("2".to_owned(), 1)));
}

#[test]
fn a_map_gives_its_fields_names() {
    let map = key(|out| {
        encode::write_map_len(out, 2).unwrap();
        for (name, value) in [("b", "2"), ("a", "1")] {
            encode::write_str(out, name).unwrap();
            encode::write_str(out, value).unwrap();
        }
    });
    check(&["run", "{a}", "{b}"], &["a", "b"], &map, &["run", "1", "2"]);
}

#[test]
fn a_key_that_does_not_fit_is_an_error() {
    let expand = |argv: &[&str], key: &[u8]| Template::new(&spec(argv, &[])).expand(key);
    assert_eq!(expand(&["run", "{4}"], &row()), Err(TemplateError::NoField("4".to_owned(), 3)));
    assert_eq!(expand(&["run"], &[0x91, 0x90]), Err(TemplateError::NotText(1)));
    assert_eq!(expand(&["run"], &[0x92, 1]), Err(TemplateError::Malformed));
    assert_eq!(expand(&["run"], &[]), Err(TemplateError::Malformed));
}

#[test]
fn output_becomes_a_map() {
    let text = Captured { head: b"hi\n".to_vec(), ..Captured::default() };
    let cut = Captured { head: b"\xffa".to_vec(), cut: 9, tail: b"z".to_vec() };
    let expected = key(|out| {
        encode::write_map_len(out, 3).unwrap();
        encode::write_str(out, "stdout").unwrap();
        encode::write_str(out, "hi\n").unwrap();
        encode::write_str(out, "stderr").unwrap();
        encode::write_bin(out, b"\xffa\n[... 9 bytes cut ...]\nz").unwrap();
        encode::write_str(out, "stderr_cut").unwrap();
        encode::write_uint(out, 9).unwrap();
    });
    assert_eq!(value(&text, &cut), expected);
    assert_eq!(msgpack::value_len(&expected), Ok(expected.len()));
}

#[test]
fn the_end_of_a_text_begins_with_a_whole_character() {
    let captured = Captured { head: "grün".as_bytes().to_vec(), ..Captured::default() };
    assert_eq!(captured.end(2), "n");
    assert_eq!(captured.end(3), "ün");
    assert_eq!(captured.end(100), "grün");
}
