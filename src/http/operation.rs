//! Query, body and answers of a route, as types.

use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::{Extension, Json};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, ToSchema};

pub(super) const JSON: &str = "application/json";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// Query, body and answers of a route.
#[derive(Default)]
pub struct Operation {
    pub query: Vec<Parameter>,
    /// The body's schema, and its name.
    pub body: Option<Content>,
    pub answers: Vec<(u16, Vec<Content>)>,
    pub(super) schemas: Schemas,
}

/// One form of a body.
#[derive(Clone)]
pub struct Content {
    pub media: &'static str,
    /// The name of its schema, where it has one.
    pub name: Option<String>,
}

impl Operation {
    pub(super) fn answering<A: Answer>() -> Self {
        let mut operation = Self::default();
        operation.answers = A::answers(&mut operation.schemas);
        operation
    }

    pub(super) fn asking<Q: IntoParams>(mut self) -> Self {
        self.query = Q::into_params(|| Some(ParameterIn::Query));
        self
    }

    pub(super) fn taking<B: ToSchema>(mut self) -> Self {
        self.body = Some(json::<B>(&mut self.schemas));
        self
    }
}

/// What a route answers: by status, in which forms.
pub trait Answer {
    fn answers(schemas: &mut Vec<(String, RefOr<Schema>)>) -> Vec<(u16, Vec<Content>)>;
}

fn json<T: ToSchema>(schemas: &mut Schemas) -> Content {
    let name = T::name().into_owned();
    schemas.push((name.clone(), T::schema()));
    T::schemas(schemas);
    Content { media: JSON, name: Some(name) }
}

fn plain(media: &'static str) -> Content {
    Content { media, name: None }
}

impl<T: ToSchema> Answer for Json<T> {
    fn answers(schemas: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        vec![(200, vec![json::<T>(schemas)])]
    }
}

/// Plain text.
pub struct Text;

impl Answer for Text {
    fn answers(_: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        vec![(200, vec![plain("text/plain")])]
    }
}

impl Answer for Html<()> {
    fn answers(_: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        vec![(200, vec![plain("text/html")])]
    }
}

/// 201 where something was made, 200 where it was there.
pub struct Created<T>(std::marker::PhantomData<T>);

impl<T: ToSchema> Answer for Created<T> {
    fn answers(schemas: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        let content = json::<T>(schemas);
        vec![(200, vec![content.clone()]), (201, vec![content])]
    }
}

/// The same answer with 200 or 503.
pub struct OrNotYet<T>(std::marker::PhantomData<T>);

impl<T: ToSchema> Answer for OrNotYet<T> {
    fn answers(schemas: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        let content = json::<T>(schemas);
        vec![(200, vec![content.clone()]), (503, vec![content])]
    }
}

/// 202 without a body.
pub struct Accepted;

impl Answer for Accepted {
    fn answers(_: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        vec![(202, Vec::new())]
    }
}

/// JSON, or on request Markdown.
pub struct JsonOrMarkdown<T>(std::marker::PhantomData<T>);

impl<T: ToSchema> Answer for JsonOrMarkdown<T> {
    fn answers(schemas: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        vec![(200, vec![json::<T>(schemas), plain("text/markdown")])]
    }
}

/// JSON, or on request a Parquet file.
pub struct JsonOrParquet<T>(std::marker::PhantomData<T>);

impl<T: ToSchema> Answer for JsonOrParquet<T> {
    fn answers(schemas: &mut Schemas) -> Vec<(u16, Vec<Content>)> {
        vec![(200, vec![json::<T>(schemas), plain("application/vnd.apache.parquet")])]
    }
}

/// The OpenAPI document, made from the table of routes: the router hands it to its own route.
#[derive(Clone, Copy)]
pub(super) struct Document(pub &'static str);

/// GET /api/v1/openapi.json
pub(super) async fn document(Extension(Document(text)): Extension<Document>) -> impl IntoResponse {
    ([(CONTENT_TYPE, JSON)], text)
}
