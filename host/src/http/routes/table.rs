//! What the component says of its routes, asked for once and kept.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use tokio::sync::OnceCell;
use tracing::error;

use crate::api::{BodyClass, ErrorForm, PageClass, RateClass, Route};
use crate::error::CallError;
use crate::http::respond::Wording;
use crate::outline::Outliner;
use crate::plugin::Plugin;

/// The name of paths that are no routes, for the logs and the metrics. Those paths may hold
/// anything.
pub(crate) const OTHER: &str = "other";
/// Maximum number of routes, and maximum length of a path, which may begin with that of the
/// public URL: each is kept until the process ends.
const MAX_ROUTES: usize = 512;
const MAX_PATH_BYTES: usize = 512;
/// Maximum length of each text of a form of errors.
const MAX_FORM_BYTES: usize = 1 << 10;

/// The routes of the component.
#[derive(Default)]
pub(crate) struct RouteTable(OnceCell<HashMap<String, Arc<RouteClass>>>);

/// What the host does for the requests of a route.
#[derive(Debug)]
pub(crate) struct RouteClass {
    /// The path, for the logs and the metrics.
    pub(crate) name: &'static str,
    pub(crate) pages: PageClass,
    pub(crate) rate: RateClass,
    pub(crate) body: BodyUse,
    pub(crate) requires_api_key: bool,
    /// The form of errors, or `None` for the host's own.
    errors: Option<Arc<ErrorForm>>,
}

/// What the host does with the body of a request.
#[derive(Debug)]
pub(crate) enum BodyUse {
    /// It does not read it.
    Ignored,
    /// It passes it on.
    Content,
    /// It passes it on, and looks at what decides about the request.
    Json(Outliner),
}

/// The class of all paths that are no routes: the component says what there is, at the
/// rate of the caller.
static UNKNOWN: LazyLock<Arc<RouteClass>> = LazyLock::new(|| {
    Arc::new(RouteClass {
        name: OTHER,
        pages: PageClass::None,
        rate: RateClass::Caller,
        body: BodyUse::Ignored,
        requires_api_key: false,
        errors: None,
    })
});

impl RouteClass {
    /// Returns how the host words its own errors for a request to this route.
    pub(crate) fn wording(&self) -> Wording {
        self.errors.clone().map(Wording::of).unwrap_or_default()
    }

    /// Returns the same for a request with this body, whose id is looked for only now:
    /// most requests have no error.
    pub(crate) fn wording_for(&self, body: &[u8]) -> Wording {
        match &self.body {
            BodyUse::Json(outliner) => self.wording().with_id(outliner.outline(body).id),
            BodyUse::Ignored | BodyUse::Content => self.wording(),
        }
    }
}

impl RouteTable {
    /// Returns the class of a path.
    pub(crate) async fn class(
        &self,
        plugin: &Plugin,
        path: &str,
    ) -> Result<Arc<RouteClass>, CallError> {
        let table = self.0.get_or_try_init(|| ask(plugin)).await?;
        Ok(Arc::clone(table.get(path).unwrap_or(&UNKNOWN)))
    }
}

async fn ask(plugin: &Plugin) -> Result<HashMap<String, Arc<RouteClass>>, CallError> {
    let routes = plugin.routes().await?;
    let few = (routes.len() <= MAX_ROUTES).then_some(routes);
    let classes: Option<_> = few.and_then(|few| few.into_iter().map(class).collect());
    classes.ok_or_else(|| {
        let failure = CallError::Malformed("its routes are too many or too long");
        error!(error = %failure, "the routes of the component cannot be used");
        failure
    })
}

/// Returns the class of a route, unless its description is too long to keep.
fn class(route: Route) -> Option<(String, Arc<RouteClass>)> {
    let form = &route.errors;
    let texts = [&form.operation, &form.refused, &form.unavailable];
    let are_short = texts.iter().all(|text| text.len() <= MAX_FORM_BYTES);
    if route.path.len() > MAX_PATH_BYTES || !are_short {
        return None;
    }
    let body = match route.body {
        BodyClass::Ignored => BodyUse::Ignored,
        BodyClass::Content => BodyUse::Content,
        BodyClass::Json(asked) => BodyUse::Json(Outliner::new(&asked)?),
    };
    // A path with a slash at its end is another way to write the one without.
    let name = route.path.strip_suffix('/').unwrap_or(&route.path);
    let class = RouteClass {
        name: kept(name)?,
        pages: route.pages,
        rate: route.rate,
        body,
        requires_api_key: route.requires_api_key,
        errors: Some(Arc::new(route.errors)),
    };
    Some((route.path, Arc::new(class)))
}

/// Returns the path as text that lives as long as the process, as spans and metrics need
/// it: the same for all servers of the process. Returns `None` once there are too many, so
/// that components cannot fill the memory.
fn kept(path: &str) -> Option<&'static str> {
    static KEPT: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut kept = KEPT.lock().expect("no code panics while it holds the lock");
    let kept = kept.get_or_insert_default();
    if let Some(path) = kept.get(path) {
        return Some(path);
    }
    if kept.len() >= MAX_ROUTES {
        return None;
    }
    let path: &'static str = path.to_owned().leak();
    kept.insert(path);
    Some(path)
}
