//! JSON written as MessagePack against a second opinion: serde_json's own tree, decoded from our bytes by rmp-serde.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Number, Value};

use super::super::json::encode;

fn any_value() -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter_map("JSON has finite numbers only", Number::from_f64);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-40i64..300).prop_map(Value::from),
        finite.prop_map(Value::Number),
        any::<String>().prop_map(Value::String),
        "x{0,70}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 96, 24, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..24).prop_map(Value::Array),
            vec((any::<String>(), inner), 0..24).prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

fn encoded(line: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    encode(line.as_bytes(), &mut out, &mut Vec::new()).map(|()| out)
}

proptest! {
    #[test]
    fn a_value_survives(value in any_value()) {
        let bytes = encoded(&value.to_string()).expect("serde_json writes JSON");
        prop_assert_eq!(shared::msgpack::value_len(&bytes), Ok(bytes.len()));
        let back: Value = rmp_serde::from_slice(&bytes).expect("well formed");
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(&bytes, &rmp_serde::to_vec(&back).expect("any value encodes"), "every head is the shortest");
    }

    #[test]
    fn white_space_makes_no_difference(value in any_value()) {
        let pretty = serde_json::to_string_pretty(&value).expect("any value").replace('\n', "\t");
        prop_assert_eq!(encoded(&pretty), encoded(&value.to_string()));
    }

    #[test]
    fn what_serde_json_refuses_is_refused(line in "[\\[\\]{}\",:0-9a-z.eE+ -]{0,12}") {
        let ours = encoded(&line);
        match serde_json::from_str::<Value>(&line) {
            Err(_) => prop_assert!(ours.is_err(), "{line}"),
            Ok(_) => if let Err(what) = ours {
                prop_assert!(what.contains("64 bits") || what.contains("twice"), "{line}: {what}");
            },
        }
    }
}

#[test]
fn many_elements_have_wide_heads() {
    for count in [0, 15, 16, 0xffff, 0x10000] {
        let list = Value::Array(vec![Value::from(1); count]);
        let bytes = encoded(&list.to_string()).expect("a list");
        assert_eq!(bytes, rmp_serde::to_vec(&list).expect("a list"), "{count}");
        let map = Value::Object((0..count).map(|n| (format!("{n:06}"), list[0].clone())).collect());
        assert_eq!(
            encoded(&map.to_string()).expect("a map"),
            rmp_serde::to_vec(&map).expect("a map"),
            "{count}"
        );
    }
}
