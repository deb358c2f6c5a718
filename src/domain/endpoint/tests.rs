use super::*;

#[test]
fn a_path_names_its_endpoint_under_any_prefix_and_no_other() {
    for &endpoint in Endpoint::ALL {
        let path = endpoint.spec().path;
        assert!(path.starts_with("/v1/"), "{path}");
        for mounted in [path.to_owned(), format!("{path}/"), format!("/openai{path}")] {
            assert_eq!(Endpoint::of_path(&mounted), Some(endpoint), "{mounted}");
        }
        for other in [format!("{path}//"), format!("{path}/x"), format!("{path}x")] {
            assert_eq!(Endpoint::of_path(&other), None, "{other}");
        }
    }
    for path in ["", "/", "/v1", "/v1/models", "messages", "/v1/chat", "/v1/xmessages"] {
        assert_eq!(Endpoint::of_path(path), None, "{path}");
    }
}

#[test]
fn no_two_endpoints_share_a_path_or_a_word() {
    for (index, one) in Endpoint::ALL.iter().enumerate() {
        for other in &Endpoint::ALL[index + 1..] {
            assert_ne!(one.spec().path, other.spec().path);
            assert_ne!(one.as_str(), other.as_str());
        }
    }
}

#[test]
fn a_cap_that_the_gateway_sends_is_one_that_it_counts() {
    for spec in Endpoint::ALL.iter().map(|endpoint| endpoint.spec()) {
        let Some(output) = spec.output else { continue };
        assert_eq!(spec.field(output.cap_sent), Some(Field::Cap), "{output:?}");
    }
}

#[test]
fn no_field_is_listed_twice_and_each_is_in_lower_case() {
    for spec in Endpoint::ALL.iter().map(|endpoint| endpoint.spec()) {
        for (index, (name, _)) in spec.fields.iter().enumerate() {
            assert_eq!(crate::domain::json::folded(name), None, "{name}");
            assert!(spec.fields[index + 1..].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
