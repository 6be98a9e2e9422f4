//! Canonical JSON: RFC 8785 with integers only, so that equal values are equal bytes.

use serde_json::{Map, Number, Value};

/// A number that has no canonical form here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number} is not a whole number within 2^53; write it as a text")]
pub struct NotCanonical {
    /// The number.
    pub number: Number,
}

/// The canonical text of a value: keys in the order of their UTF-16 code units, no white space.
///
/// # Errors
/// A number is not an integer that every JSON reader reads alike (at most 2^53 - 1, RFC 8785 section 3.2.2.3).
pub fn to_canonical(value: &Value) -> Result<String, NotCanonical> {
    let mut text = String::with_capacity(512);
    write_value(&mut text, value)?;
    Ok(text)
}

/// The value with every number that has no canonical form written as a text.
#[must_use]
pub fn made_canonical(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(made_canonical).collect(),
        Value::Number(number) if !is_safe_integer(&number) => Value::String(number.to_string()),
        Value::Object(members) => members.into_iter().map(|(key, member)| (key, made_canonical(member))).collect(),
        other => other,
    }
}

fn write_value(text: &mut String, value: &Value) -> Result<(), NotCanonical> {
    match value {
        Value::Array(items) => write_array(text, items),
        Value::Object(members) => write_object(text, members),
        Value::Number(number) if !is_safe_integer(number) => Err(NotCanonical { number: number.clone() }),
        // serde_json escapes what RFC 8785 section 3.2.2.2 escapes, and in the same way.
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
            Ok(())
        }
    }
}

fn write_array(text: &mut String, items: &[Value]) -> Result<(), NotCanonical> {
    text.push('[');
    for (index, item) in items.iter().enumerate() {
        separate(text, index);
        write_value(text, item)?;
    }
    text.push(']');
    Ok(())
}

fn write_object(text: &mut String, members: &Map<String, Value>) -> Result<(), NotCanonical> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
    text.push('{');
    for (index, (key, member)) in sorted.into_iter().enumerate() {
        separate(text, index);
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        write_value(text, member)?;
    }
    text.push('}');
    Ok(())
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
    }
}

fn is_safe_integer(number: &Number) -> bool {
    number.as_i128().is_some_and(|integer| integer.unsigned_abs() <= LARGEST)
}

const LARGEST: u128 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_in_the_order_of_their_utf_16_code_units() {
        // RFC 8785, section 3.2.3.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis",
        });

        let text = to_canonical(&value).unwrap();

        assert_eq!(
            text,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
             \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
             \"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        );
    }

    #[test]
    fn only_control_characters_quote_and_backslash_are_escaped() {
        // RFC 8785, section 3.2.2.2.
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\"/\u{7f}\u{8}\t\u{c}\r\u{0}\u{1f}\u{2028}");

        let text = to_canonical(&value).unwrap();

        let expected = "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\"/\u{7f}\\b\\t\\f\\r\\u0000\\u001f\u{2028}\"";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_number_that_readers_could_read_differently_is_refused() {
        assert_eq!(to_canonical(&json!(9_007_199_254_740_991_u64)).as_deref(), Ok("9007199254740991"));
        assert_eq!(to_canonical(&json!([0, -7])).as_deref(), Ok("[0,-7]"));

        for bad in [json!(9_007_199_254_740_992_u64), json!(-9_007_199_254_740_992_i64), json!(1.0), json!(-0.0)] {
            assert!(to_canonical(&json!({ "a": [bad] })).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_made_canonical_has_a_canonical_text() {
        let value = made_canonical(json!({ "a": [1, 1.5, u64::MAX, null, true] }));

        assert_eq!(to_canonical(&value).as_deref(), Ok(r#"{"a":[1,"1.5","18446744073709551615",null,true]}"#));
    }
}
