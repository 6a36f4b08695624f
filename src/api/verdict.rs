//! A verdict as the API lists it: as the core judged it, or shortened once newer ones are there.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use driftgate_core::judge::verdict::Verdict;

/// The schema of a verdict that may be a [`crate::view::Brief`] one. No value has this type.
#[derive(Debug)]
pub enum AnyVerdict {}

impl PartialSchema for AnyVerdict {
    fn schema() -> RefOr<Schema> {
        let mut schema = Verdict::schema();
        if let RefOr::T(Schema::Object(fields)) = &mut schema {
            fields.properties.insert("brief".to_owned(), RefOr::T(brief().into()));
        }
        schema
    }
}

fn brief() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Boolean, Type::Null]))
        .description(Some("An older verdict, whose results have no evidence."))
        .build()
}

impl ToSchema for AnyVerdict {
    fn name() -> std::borrow::Cow<'static, str> {
        Verdict::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Verdict::schemas(schemas);
    }
}
