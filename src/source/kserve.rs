//! JSON lines of `KServe`'s logger: the lines of a block are offered to the joiner in the file's order, and the rows of completed pairs are
//! the lines that are decoded.

use memchr::memchr_iter;

use super::jsonl::{Joined, LineBlock};
use driftgate_core::kserve::Joiner;

/// The block with the rows of the pairs that its lines complete, in a file whose path says when its lines were written (ms), where it does.
#[must_use]
pub fn join(joiner: &mut Joiner, block: &LineBlock, written: Option<i64>) -> LineBlock {
    let mut came = Joined { lines: block.skipped(), ..Joined::default() };
    let mut rows = Vec::new();
    let bytes = block.lines();
    let mut from = 0;
    for end in memchr_iter(b'\n', bytes).chain([bytes.len()]) {
        let text = bytes.get(from..end).unwrap_or(&[]);
        from = end + 1;
        if end == bytes.len() && text.is_empty() {
            break;
        }
        let line = came.lines;
        came.lines += 1;
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match joiner.offer(text, None, written, &mut rows) {
            Ok(n) => came.origins.extend(std::iter::repeat_n(line, n)),
            Err(reject) => came.refused.push((line, reject, text.to_vec())),
        }
    }
    block.with(rows, came)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use super::*;
    use crate::source::jsonl::{Blocks, LineDecoder};
    use crate::source::options::FileOptions;
    use driftgate_core::decode::Reason;
    use driftgate_core::event::{Limits, PredictionBatch};
    use driftgate_core::kserve::Settings;
    use driftgate_core::pipeline::batch::Batch as _;
    use driftgate_core::schema::Schema;

    fn schema() -> Schema {
        Schema { model: "m".into(), numeric: vec!["a".into()], needs_id: true, ..Schema::default() }
    }

    fn event(kind: &str, id: &str, data: &str) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","type":"org.kubeflow.serving.inference.{kind}","time":"2026-11-28T10:00:00Z","inferenceservicename":"m","data":{data}}}"#
        )
    }

    #[test]
    fn a_row_that_is_refused_has_the_line_that_completed_its_pair() {
        let tensor = |values| format!(r#"{{"name":"a","shape":[{values}],"data":{:?}}}"#, vec![1; values]);
        let inputs = |values| format!(r#"{{"inputs":[{}]}}"#, tensor(values));
        let outputs = |version: &str, values: usize| {
            let data = vec![0.5; values];
            format!(r#"{{{version}"outputs":[{{"name":"p","shape":[{values}],"data":{data:?}}}]}}"#)
        };
        let lines = [
            event("request", "a", &inputs(3)),
            "nope".to_owned(),
            String::new(),
            event("response", "a", &outputs(r#""model_version":"1","#, 3)),
            event("response", "b", &outputs("", 2)),
            event("request", "b", &inputs(2)),
            "{}".to_owned(),
        ];
        let mut blocks = Blocks::new(Box::new(Cursor::new(lines.join("\n").into_bytes())), true, Limits::default());
        let mut joiner = Joiner::new(Settings::default(), Limits::default());
        let block = join(&mut joiner, &blocks.next_block().unwrap().unwrap(), None);
        let schema = Arc::new(schema());
        let mut decoder = LineDecoder::new::<PredictionBatch>(&schema, &FileOptions::default());
        let chunk = decoder.decode(&block, PredictionBatch::empty(&schema));
        let refused: Vec<(u64, Reason)> =
            chunk.rejects.iter().map(|(line, reject, _)| (*line, reject.reason)).collect();
        let expected =
            [(1, Reason::NotJson), (5, Reason::NoVersion), (5, Reason::NoVersion), (6, Reason::BadCloudevent)];
        assert_eq!(refused, expected);
        assert_eq!((chunk.batch.rows(), chunk.lines, joiner.counts().joined), (3, 7, 2));
    }
}
