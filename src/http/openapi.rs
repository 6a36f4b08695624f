//! The OpenAPI 3.1 document, made from the table of routes and the types of [`crate::api`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, Schema};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::needs::Needs;
use super::operation::{Content, JSON, Operation};
use super::routes::{ROUTES, Route};
use crate::api::ErrorBody;

const TOKEN: &str = "token";

/// The document.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        let operation = (route.operation)();
        let method = if route.method == "post" { HttpMethod::Post } else { HttpMethod::Get };
        paths = paths.path(route.path, PathItem::new(method, described(route, &operation)));
        schemas.extend(operation.schemas);
    }
    let components = schemas.into_iter().fold(ComponentsBuilder::new(), |c, (name, schema)| c.schema(name, schema));
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let info = InfoBuilder::new()
        .title("driftgate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Models, verdicts, the promotion gate and what people change."));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.security_scheme(TOKEN, bearer).build()))
        .build()
}

fn described(route: &Route, operation: &Operation) -> utoipa::openapi::path::Operation {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(String::schema()))
            .build()
    });
    let mut built = OperationBuilder::new()
        .summary(Some(route.about))
        .description(Some(format!("Needs {}.", route.needs.sentence())))
        .operation_id(Some(id(route)));
    for parameter in in_path.chain(operation.query.iter().cloned()) {
        built = built.parameter(parameter);
    }
    if let Some(body) = &operation.body {
        built = built.request_body(Some(RequestBodyBuilder::new().content(body.media, content(body)).build()));
    }
    for (status, forms) in &operation.answers {
        let response = ResponseBuilder::new().description(reason(*status));
        let response = forms.iter().fold(response, |r, form| r.content(form.media, content(form)));
        built = built.response(status.to_string(), response.build());
    }
    let error = Content { media: JSON, name: Some(ErrorBody::name().into_owned()) };
    let error = ResponseBuilder::new().description("What is wrong").content(JSON, content(&error));
    built = built.response("default", error.build());
    if !matches!(route.needs, Needs::Probe) {
        built = built.security(SecurityRequirement::new(TOKEN, Vec::<String>::new()));
    }
    built.build()
}

/// Unique per route: `get_models_model_status`; `get_page_models_…` where it answers with a page.
fn id(route: &Route) -> String {
    let page = (route.needs == Needs::Page && route.path != "/").then_some("page");
    let path = route.path.trim_start_matches("/api/v1");
    let words = path.split(['/', '-', '.']).map(|part| part.trim_matches(['{', '}'])).filter(|part| !part.is_empty());
    std::iter::once(route.method).chain(page).chain(words).collect::<Vec<_>>().join("_")
}

fn reason(status: u16) -> &'static str {
    match status {
        201 => "It was registered",
        202 => "Every event is in the topic",
        503 => "Not yet",
        _ => "Done",
    }
}

fn content(form: &Content) -> utoipa::openapi::Content {
    let schema = match &form.name {
        Some(name) => RefOr::Ref(Ref::from_schema_name(name)),
        None => String::schema(),
    };
    ContentBuilder::new().schema(Some(schema)).build()
}

/// The document as it is served and written.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| openapi().to_pretty_json().map(|text| text + "\n").unwrap_or_default());
    &TEXT
}
