//! What an OTLP request holds, read from its protobuf bytes: only the fields that tests look at.

/// The value of a field.
#[derive(Clone, Copy)]
enum Wire<'a> {
    /// A varint, or eight fixed bytes.
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a whole varint");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The fields of a message in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Wire<'_>)> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Wire::Number(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_at(8);
                bytes = rest;
                Wire::Number(u64::from_le_bytes(number.try_into().unwrap()))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Wire::Bytes(inner)
            }
            5 => {
                let (number, rest) = bytes.split_at(4);
                bytes = rest;
                Wire::Number(u32::from_le_bytes(number.try_into().unwrap()).into())
            }
            other => panic!("wire type {other}"),
        };
        out.push((key >> 3, value));
    }
    out
}

/// The messages of a field.
fn messages(bytes: &[u8], field: u64) -> Vec<&[u8]> {
    let all = fields(bytes).into_iter();
    all.filter_map(|(number, value)| match value {
        Wire::Bytes(inner) if number == field => Some(inner),
        _ => None,
    })
    .collect()
}

fn number(bytes: &[u8], field: u64) -> Option<u64> {
    fields(bytes).into_iter().find_map(|(number, value)| match value {
        Wire::Number(value) if number == field => Some(value),
        _ => None,
    })
}

fn text(bytes: &[u8], field: u64) -> String {
    messages(bytes, field).first().map_or_else(String::new, |text| String::from_utf8(text.to_vec()).unwrap())
}

/// `KeyValue`s of a field: key 1, value 2, of which a string is 1 and a whole number 3.
fn attributes(bytes: &[u8], field: u64) -> Vec<(String, String)> {
    let value = |pair: &[u8]| {
        let value = messages(pair, 2).first().copied().unwrap_or_default().to_vec();
        match number(&value, 3) {
            Some(whole) => whole.to_string(),
            None => text(&value, 1),
        }
    };
    messages(bytes, field).into_iter().map(|pair| (text(pair, 1), value(pair))).collect()
}

/// What the first resource of a request says of itself.
pub fn resource(request: &[u8]) -> Vec<(String, String)> {
    messages(request, 1).first().into_iter().flat_map(|of| messages(of, 1)).flat_map(|r| attributes(r, 1)).collect()
}

/// A span.
pub struct Span {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

/// The spans of an `ExportTraceServiceRequest`.
pub fn spans(request: &[u8]) -> Vec<Span> {
    let scopes = messages(request, 1).into_iter().flat_map(|resource| messages(resource, 2));
    let spans = scopes.flat_map(|scope| messages(scope, 2));
    spans.map(|span| Span { name: text(span, 5), attributes: attributes(span, 9) }).collect()
}

/// One series of a metric.
#[derive(Debug, PartialEq)]
pub struct Point {
    pub labels: Vec<(String, String)>,
    pub value: f64,
    /// It is part of a cumulative sum that only grows.
    pub is_counter: bool,
}

/// The series of a metric in an `ExportMetricsServiceRequest`.
pub fn points(request: &[u8], metric: &str) -> Vec<Point> {
    let scopes = messages(request, 1).into_iter().flat_map(|resource| messages(resource, 2));
    let metrics = scopes.flat_map(|scope| messages(scope, 2)).filter(|m| text(m, 1) == metric);
    let point = |point: &[u8], is_counter: bool| {
        let whole = number(point, 6).map(|value| value.cast_signed() as f64);
        let value = whole.or_else(|| number(point, 4).map(f64::from_bits)).unwrap_or_default();
        Point { labels: attributes(point, 7), value, is_counter }
    };
    metrics
        .flat_map(|metric| {
            let gauges = messages(metric, 5).into_iter().flat_map(|gauge| messages(gauge, 1)).map(|p| point(p, false));
            let sums = messages(metric, 7).into_iter().flat_map(|sum| {
                let grows = number(sum, 2) == Some(2) && number(sum, 3) == Some(1);
                messages(sum, 1).into_iter().map(move |p| (p, grows))
            });
            gauges.chain(sums.map(|(p, grows)| point(p, grows))).collect::<Vec<_>>()
        })
        .collect()
}
