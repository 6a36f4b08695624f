//! Messages of Protobuf, written field by field.

use serde_json::Value;

pub const SCHEMA: &str = "\
syntax = \"proto3\";
message Prediction {
  string prediction_id = 1;
  string model = 2;
  string version = 3;
  int64 ts = 4;
  double score = 5;
  Features features = 6;
  Segments segments = 7;
}
message Features {
  double n00 = 1; double n01 = 2; double n02 = 3; double n03 = 4; double n04 = 5; double n05 = 6; double n06 = 7; double n07 = 8;
  double n08 = 9; double n09 = 10; double n10 = 11; double n11 = 12; double n12 = 13; double n13 = 14; double n14 = 15; double n15 = 16;
  double n16 = 17; double n17 = 18; double n18 = 19; double n19 = 20;
  string c0 = 21; string c1 = 22; string c2 = 23; string c3 = 24;
}
message Segments { string seg0 = 1; string seg1 = 2; }
";

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn number(mut self, field: u64, n: u64) -> Self {
        self.varint(field << 3);
        self.varint(n);
        self
    }

    fn double(mut self, field: u64, x: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(x.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// A text or a number.
    fn value(self, field: u64, value: &Value) -> Self {
        match value {
            Value::String(text) => self.bytes(field, text.as_bytes()),
            number => self.double(field, number.as_f64().expect("a number")),
        }
    }

    /// The values of an object, in the order of its keys, from field 1 on.
    fn object(of: &Value) -> Self {
        let values = of.as_object().expect("an object").values();
        (1..).zip(values).fold(Self::default(), |message, (field, value)| message.value(field, value))
    }
}

/// An event by `SCHEMA`.
pub fn prediction(event: &Value) -> Vec<u8> {
    let texts = ["prediction_id", "model", "version"];
    let message =
        (1..).zip(texts).fold(Message::default(), |message, (field, name)| message.value(field, &event[name]));
    let message = message.number(4, event["ts"].as_u64().expect("a time")).value(5, &event["score"]);
    message.bytes(6, &Message::object(&event["features"]).0).bytes(7, &Message::object(&event["segments"]).0).0
}

/// A request or a response of the Open Inference Protocol: a tensor of one value for each name.
pub fn inference(id: &str, values: &Value, tensors: u64) -> Vec<u8> {
    let message = Message::default().bytes(1, b"credit").bytes(2, b"1").bytes(3, id.as_bytes());
    let values = values.as_object().expect("an object").iter();
    let all = values.fold(message, |message, (name, value)| {
        let (datatype, contents): (&[u8], Message) = match value {
            Value::String(text) => (b"BYTES", Message::default().bytes(8, text.as_bytes())),
            number => {
                let packed = number.as_f64().expect("a number").to_le_bytes();
                (b"FP64", Message::default().bytes(7, &packed))
            }
        };
        let tensor = Message::default().bytes(1, name.as_bytes()).bytes(2, datatype).bytes(3, &[1, 1]);
        message.bytes(tensors, &tensor.bytes(5, &contents.0).0)
    });
    all.0
}
