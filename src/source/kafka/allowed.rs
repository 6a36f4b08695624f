//! What the brokers let this user do with topics and with the group, as they say it themselves. Brokers that check nothing say that
//! everything is allowed; some say nothing.
#![allow(unsafe_code, reason = "the C client's request has no safe interface")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};

use super::client::SourceContext;
use super::described::describe;
use super::native::Request;

/// What can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Describe,
    DescribeConfigs,
}

impl Operation {
    /// As Kafka's tools write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Describe => "DESCRIBE",
            Self::DescribeConfigs => "DESCRIBE_CONFIGS",
        }
    }

    fn of(code: native::rd_kafka_AclOperation_t) -> &'static [Self] {
        use native::rd_kafka_AclOperation_t as Code;
        match code {
            Code::RD_KAFKA_ACL_OPERATION_READ => &[Self::Read],
            Code::RD_KAFKA_ACL_OPERATION_WRITE => &[Self::Write],
            Code::RD_KAFKA_ACL_OPERATION_CREATE => &[Self::Create],
            Code::RD_KAFKA_ACL_OPERATION_DELETE => &[Self::Delete],
            Code::RD_KAFKA_ACL_OPERATION_DESCRIBE => &[Self::Describe],
            Code::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => &[Self::DescribeConfigs],
            Code::RD_KAFKA_ACL_OPERATION_ALL => {
                &[Self::Read, Self::Write, Self::Create, Self::Delete, Self::Describe, Self::DescribeConfigs]
            }
            _ => &[],
        }
    }
}

/// What is allowed; `None` where the brokers do not say.
pub type Allowed = Option<BTreeSet<Operation>>;

/// A topic as the brokers show it to this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicSeen {
    Missing,
    /// It may not be described; whether it exists is not told.
    Hidden,
    There {
        partitions: i32,
        /// Of the partition that has the fewest.
        replicas: i32,
        allowed: Allowed,
    },
    /// The brokers' reason.
    Failed(String),
}

/// The group as the brokers show it to this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupSeen {
    Hidden,
    There(Allowed),
    Failed(String),
}

/// Topics, each with what is allowed.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn topics(
    consumer: &BaseConsumer<SourceContext>,
    names: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, TopicSeen>, KafkaError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let request = Request::new(consumer, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout)?;
    with_operations(&request);
    let mut found = BTreeMap::new();
    // Safety: each description lives while it is read.
    describe(consumer, names, &request, &mut |one| unsafe {
        let name = CStr::from_ptr(native::rd_kafka_TopicDescription_name(one));
        found.insert(name.to_string_lossy().into_owned(), topic(one));
    })?;
    Ok(found)
}

/// # Safety
/// The description lives.
unsafe fn topic(one: *const native::rd_kafka_TopicDescription_t) -> TopicSeen {
    // Safety: the description lives, its content lives as long, and it has so many partitions and operations.
    unsafe {
        match failure(native::rd_kafka_TopicDescription_error(one)) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return TopicSeen::Missing;
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => return TopicSeen::Hidden,
            Some(code) => return TopicSeen::Failed(KafkaError::MetadataFetch(code).to_string()),
        }
        let mut partitions = 0;
        let each = native::rd_kafka_TopicDescription_partitions(one, &raw mut partitions);
        let replicas = (0..partitions).map(|at| {
            let mut replicas = 0;
            native::rd_kafka_TopicPartitionInfo_replicas(*each.add(at), &raw mut replicas);
            replicas
        });
        let replicas = i32::try_from(replicas.min().unwrap_or(0)).unwrap_or(i32::MAX);
        let mut n = 0;
        let operations = native::rd_kafka_TopicDescription_authorized_operations(one, &raw mut n);
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        TopicSeen::There { partitions, replicas, allowed: allowed(operations, n) }
    }
}

/// The group, with what is allowed.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn group(consumer: &BaseConsumer<SourceContext>, name: &str, timeout: Duration) -> Result<GroupSeen, KafkaError> {
    let Ok(name) = CString::new(name) else { return Ok(GroupSeen::Failed("its name holds a zero byte".to_owned())) };
    let request =
        Request::new(consumer, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout)?;
    with_operations(&request);
    let mut names = [name.as_ptr()];
    let (client, options, queue) = (consumer.client().native_ptr(), &request.options, &request.queue);
    // Safety: all of them live, and the list has one name, which is copied.
    unsafe { native::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), 1, options.ptr(), queue.ptr()) };
    let event = match request.answer() {
        Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
            return Ok(GroupSeen::Hidden);
        }
        answer => answer?,
    };
    // Safety: the event lives until the end of this function, and its content lives as long; the result has so many groups, and the
    // group so many operations.
    unsafe {
        let result = native::rd_kafka_event_DescribeConsumerGroups_result(event.ptr());
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BadMessage));
        }
        let mut n = 0;
        let described = native::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut n);
        if n == 0 {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BadMessage));
        }
        let one = *described;
        match failure(native::rd_kafka_ConsumerGroupDescription_error(one)) {
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => return Ok(GroupSeen::Hidden),
            // A group that nobody has joined yet; who may not see it is told so before.
            Some(RDKafkaErrorCode::GroupIdNotFound) => return Ok(GroupSeen::There(None)),
            Some(code) => return Ok(GroupSeen::Failed(KafkaError::MetadataFetch(code).to_string())),
            None => {}
        }
        let mut n = 0;
        let operations = native::rd_kafka_ConsumerGroupDescription_authorized_operations(one, &raw mut n);
        Ok(GroupSeen::There(allowed(operations, n)))
    }
}

/// Asks for what is allowed, too.
fn with_operations(request: &Request) {
    // Safety: the options live; an error is given back.
    unsafe {
        let error = native::rd_kafka_AdminOptions_set_include_authorized_operations(request.options.ptr(), 1);
        if !error.is_null() {
            native::rd_kafka_error_destroy(error);
        }
    }
}

/// # Safety
/// The error lives, if there is one.
unsafe fn failure(error: *const native::rd_kafka_error_t) -> Option<RDKafkaErrorCode> {
    // Safety: as above; without an error the code says so.
    let code = unsafe { native::rd_kafka_error_code(error) };
    code.is_error().then(|| code.into())
}

/// # Safety
/// There are so many operations, if there are any.
unsafe fn allowed(operations: *const native::rd_kafka_AclOperation_t, n: usize) -> Allowed {
    if operations.is_null() {
        return None;
    }
    // Safety: as above.
    Some((0..n).flat_map(|at| unsafe { Operation::of(*operations.add(at)) }).copied().collect())
}
