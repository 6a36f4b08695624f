//! What a process does before it becomes the registry's owner, by the claim to the log, the log, and its own copy.

/// What it does first. A log that is empty, or ends before this process's copy, was made anew or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It publishes its registry, whole, with this number.
    Publish(u64),
    /// Its copy is the end of the log.
    Write,
}

/// Decides it, after the log was read to its end: `claim` is the committed sequence number, `newest` the log's last change, `at` the last
/// one of the copy.
///
/// # Errors
/// A log that lost what the claim names, or a copy that is not at the log's end: what to do.
pub fn opening(claim: Option<u64>, newest: Option<u64>, at: Option<u64>) -> Result<Opening, String> {
    let told = |seq: Option<u64>| seq.map_or_else(|| "nothing".to_owned(), |seq| format!("change {seq}"));
    match (claim, newest, at) {
        (None, None, None) => Ok(Opening::Publish(1)),
        // The copy has more than the log, and all that the claim names.
        (_, _, Some(at)) if at >= claim.unwrap_or(0) && newest.is_none_or(|newest| newest < at) => {
            Ok(Opening::Publish(at))
        }
        (Some(claim), newest, _) if newest.is_none_or(|newest| newest < claim) => Err(format!(
            "the ledger's topic lost its end: its claim names change {claim}, the topic has {}, this process's copy {}. Start the process \
             whose copy has change {claim} alone; where none has it, begin anew under another cluster.topics.prefix with the newest copy",
            told(newest),
            told(at)
        )),
        (_, Some(newest), Some(at)) if at == newest => Ok(Opening::Write),
        (_, newest, at) => {
            Err(format!("the ledger's topic has {}, this process's copy {}: it is read on", told(newest), told(at)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_copy_that_is_at_the_end_of_the_log_and_of_its_claim_is_written_to() {
        assert_eq!(opening(None, None, None), Ok(Opening::Publish(1)), "the first process of a cluster");
        assert_eq!(opening(None, None, Some(9)), Ok(Opening::Publish(9)), "topic and claim were made anew");
        assert_eq!(opening(Some(9), None, Some(9)), Ok(Opening::Publish(9)), "the topic was made anew");
        assert_eq!(opening(Some(9), Some(9), Some(9)), Ok(Opening::Write));
        assert_eq!(opening(None, Some(9), Some(9)), Ok(Opening::Write), "the claim has expired");
        assert_eq!(
            opening(Some(4), Some(9), Some(9)),
            Ok(Opening::Write),
            "the claim was set back by hand: the log counts"
        );
        assert_eq!(
            opening(Some(9), Some(8), Some(9)),
            Ok(Opening::Publish(9)),
            "the topic was cut, and the copy has it all"
        );
        for (claim, newest, at) in [(Some(9), None, Some(8)), (Some(9), None, None), (Some(9), Some(8), Some(8))] {
            let why = opening(claim, newest, at).unwrap_err();
            assert!(why.contains("lost its end") && why.contains("change 9"), "{why}");
        }
        for (claim, newest, at) in [(Some(9), Some(9), Some(8)), (None, Some(9), None), (Some(8), Some(9), Some(8))] {
            assert!(opening(claim, newest, at).is_err(), "{claim:?} {newest:?} {at:?}");
        }
    }
}
