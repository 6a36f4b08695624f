//! A part of a file, batch by batch.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::source::files::{FileKind, FileStream, StreamError};
use crate::source::options::FileOptions;
use driftgate_core::batch::Part;
use driftgate_core::pipeline::batch::Batch;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

/// How many events of a part were not read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub rejected: u64,
    pub unknown_model: u64,
}

/// The slots of events: of a file of columns those of the envelope alone where `times` are all that is wanted, since no other
/// column can make a row no event. Lines are read whole: a damaged value can.
pub(super) fn schema(policy: &Policy, path: &Path, times: bool) -> Arc<Schema> {
    let mut schema = Schema::new(policy);
    if times && FileKind::of(path).is_ok_and(|kind| kind == FileKind::Columns) {
        (schema.numeric, schema.categorical) = (Vec::new(), Vec::new());
        (schema.attributes, schema.segmentations) = (Vec::new(), Vec::new());
    }
    Arc::new(schema)
}

/// Hands each batch of a part to `each`, in order, until it says to stop.
pub(super) fn read<B: Batch>(
    (path, part): (&Path, Part),
    schema: &Arc<Schema>,
    options: &FileOptions,
    mut each: impl FnMut(&mut B) -> ControlFlow<()>,
) -> Result<Left, StreamError> {
    let mut stream: FileStream<B> = FileStream::open_part(path, part, schema, options)?;
    let mut decoder = stream.decoder();
    let (mut spare, mut left) = (stream.empty(), Left::default());
    while let Some(piece) = stream.next_piece()? {
        let (mut chunk, block) = decoder.decode(piece, spare)?;
        block.into_iter().for_each(|b| stream.give_back(b));
        left.rejected += chunk.rejects.len() as u64;
        left.unknown_model += chunk.unknown_model;
        let go_on = each(&mut chunk.batch);
        if go_on.is_break() {
            break;
        }
        chunk.batch.reset();
        spare = chunk.batch;
    }
    Ok(left)
}
