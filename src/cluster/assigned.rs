//! What the coordinator lists as a member's assignment: the consumer protocol's bytes (version, then topics with their partitions; KIP-54).

/// The partitions that are assigned to a member; `None` where the bytes are something else.
#[must_use]
pub fn partitions(bytes: &[u8]) -> Option<Vec<(String, i32)>> {
    let mut rest = bytes;
    let _version = take::<2>(&mut rest)?;
    let mut all = Vec::new();
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let name = std::str::from_utf8(name).ok()?;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            all.push((name.to_owned(), i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(all)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_other_bytes_are_refused() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        for (name, partitions) in [("units", vec![0_i32, 3]), ("x", vec![])] {
            bytes.extend(i16::try_from(name.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(i32::try_from(partitions.len()).unwrap_or(0).to_be_bytes());
            partitions.iter().for_each(|p| bytes.extend(p.to_be_bytes()));
        }
        // No user data.
        bytes.extend((-1_i32).to_be_bytes());
        assert_eq!(partitions(&bytes), Some(vec![("units".to_owned(), 0), ("units".to_owned(), 3)]));
        for length in 0..26 {
            assert_eq!(partitions(bytes.get(..length).unwrap_or_default()), None, "{length} bytes");
        }
        assert_eq!(partitions(&[0, 0, 0, 0, 0, 1, 255, 255]), None);
    }
}
