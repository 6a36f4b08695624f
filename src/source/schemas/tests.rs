//! The registry as a small HTTP server: what it is asked, and what becomes of its answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;

use super::*;

const NODE: &str = r#"{"type": "record", "name": "Node", "fields": [{"name": "x", "type": "int"}]}"#;
const EVENT: &str = r#"{"type": "record", "name": "Event", "fields": [{"name": "node", "type": "Node"}]}"#;

/// Answers each request by its path and `Authorization`; the address, and what was asked.
fn serve(answer: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/registry", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines: Vec<String> =
                BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let path = lines[0].split(' ').nth(1).unwrap().to_owned();
            let header = |name: &str| {
                let found =
                    lines.iter().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)));
                found.map_or(String::new(), |(_, value)| value.to_owned())
            };
            let (status, body) = answer(&path, &header("authorization"));
            noted.lock().unwrap().push(path);
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                .unwrap();
        }
    });
    (url, asked)
}

fn schema(text: &str, more: &str) -> String {
    format!("{{\"schema\": {}{more}}}", serde_json::to_string(text).unwrap())
}

fn client(url: &str, access: Access) -> Client {
    Client::new(url, access, None).unwrap()
}

/// Asks until there is an answer.
fn found(registry: &SchemaRegistry, at: SchemaRef) -> Found {
    loop {
        match registry.find(at) {
            Found::Waits => thread::sleep(Duration::from_millis(5)),
            found => return found,
        }
    }
}

#[test]
fn a_schema_is_fetched_once_with_what_it_refers_to() {
    let (url, asked) = serve(|path, _| match path {
        "/registry/schemas/ids/7" => {
            (200, schema(EVENT, r#", "references": [{"name": "Node", "subject": "the node", "version": 2}]"#))
        }
        "/registry/subjects/the%20node/versions/2" => (200, schema(NODE, "")),
        "/registry/schemas/guids/00000000-0000-0000-0000-000000000009" => {
            (200, schema(NODE, r#", "schemaType": "AVRO""#))
        }
        _ => (404, "{}".to_owned()),
    });
    let (registry, _) = SchemaRegistry::start(client(&url, Access::Anyone), |_| {}, || false).unwrap();
    for _ in 0..3 {
        assert!(matches!(found(&registry, SchemaRef::Id(7)), Found::Avro(_)));
    }
    let guid = SchemaRef::Guid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert!(matches!(found(&registry, guid), Found::Avro(_)));
    let expected = [
        "/registry/schemas/ids/7",
        "/registry/subjects/the%20node/versions/2",
        "/registry/schemas/guids/00000000-0000-0000-0000-000000000009",
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[test]
fn what_the_registry_does_not_have_is_asked_for_a_few_times_and_what_cannot_be_read_says_so() {
    let (url, asked) = serve(|path, _| match path {
        "/registry/schemas/ids/1" => (404, r#"{"error_code": 40403}"#.to_owned()),
        "/registry/schemas/ids/2" => (200, schema("{}", r#", "schemaType": "JSON""#)),
        "/registry/schemas/ids/4" => (200, schema("{}", r#", "schemaType": "PROTOBUF""#)),
        _ => (200, schema("[broken", "")),
    });
    let (registry, _) = SchemaRegistry::start(client(&url, Access::Anyone), |_| {}, || false).unwrap();
    let refused = [
        (1, "does not have the schema 1"),
        (2, "of the type JSON"),
        (3, "cannot be read"),
        (4, "the Protobuf schema cannot be read"),
    ];
    for (id, says) in refused {
        let Found::Refused(why) = found(&registry, SchemaRef::Id(id)) else { panic!("schema {id}") };
        assert!(why.contains(says), "{why}");
        assert!(matches!(registry.find(SchemaRef::Id(id)), Found::Refused(_)), "it is not asked for again at once");
    }
    assert_eq!(asked.lock().unwrap().len(), 12);
}

#[test]
fn a_registry_that_is_away_or_knows_nobody_is_asked_until_it_answers() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wrong").unwrap();
    let (url, _) = serve(|_, authorization| match authorization {
        // reader:secret
        "Basic cmVhZGVyOnNlY3JldA==" => (200, schema(NODE, "")),
        _ => (401, "{}".to_owned()),
    });
    let access = Access::User("reader".into(), file.path().to_owned());
    let (told, said) = channel();
    let tell = move |why| drop(told.send(why));
    let (registry, _) = SchemaRegistry::start(client(&url, access), tell, || false).unwrap();
    assert!(matches!(registry.find(SchemaRef::Id(1)), Found::Waits));
    let why: Option<String> = said.recv().unwrap();
    assert!(why.as_ref().is_some_and(|why| why.contains("401") && why.contains("password_file")), "{why:?}");
    // The password is mended: no restart is needed.
    std::fs::write(file.path(), "secret\n").unwrap();
    assert!(matches!(found(&registry, SchemaRef::Id(1)), Found::Avro(_)));
    assert_eq!(said.iter().find(Option::is_none), Some(None));

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (told, said) = channel();
    let tell = move |why| drop(told.send(why));
    let at = client(&format!("http://{nobody}"), Access::Anyone);
    let (registry, fetching) = SchemaRegistry::start(at, tell, || false).unwrap();
    assert!(matches!(registry.find(SchemaRef::Id(1)), Found::Waits));
    assert!(said.recv().unwrap().is_some());
    drop(registry);
    fetching.join().unwrap();
}
