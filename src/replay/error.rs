//! Why a replay ends before its files do.

use crate::source::columns::FileError;
use crate::source::files::StreamError;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("no version of the predictions has a baseline, so nothing can be judged")]
    NoBaseline,
    #[error("only one file can be standard input")]
    OneStandardInput,
    #[error(
        "{why} needs the versions before the first event is counted, so the predictions are read twice: give a file, not standard input"
    )]
    StandardInput { why: &'static str },
    #[error("the policy's label rules need --labels, or a stream of labels")]
    NoLabels,
    #[error("the policy's measured rules need --measurements")]
    NoMeasurements,
    #[error(transparent)]
    Observer(#[from] anyhow::Error),
}

impl From<FileError> for ReplayError {
    fn from(e: FileError) -> Self {
        Self::Stream(e.into())
    }
}
