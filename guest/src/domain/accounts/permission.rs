//! Permissions: names of permitted actions, in segments such as `user-auth:users:read`.
//! Their meaning is defined by the services that check them; those that begin with
//! `user-auth:` belong to this service.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Read all accounts.
pub const USERS_READ: &str = "user-auth:users:read";
/// Disable, enable, unlock, delete and import accounts, and reset passwords.
pub const USERS_WRITE: &str = "user-auth:users:write";
/// Read roles and who has them.
pub const ROLES_READ: &str = "user-auth:roles:read";
/// Define roles, and assign and remove them.
pub const ROLES_WRITE: &str = "user-auth:roles:write";
/// Create and end API keys of others, and create service accounts.
pub const API_KEYS_WRITE: &str = "user-auth:api-keys:write";
/// Read the signing keys, and rotate them.
pub const SIGNING_KEYS_WRITE: &str = "user-auth:signing-keys:write";
/// Read the clients of users.
pub const CLIENTS_READ: &str = "user-auth:clients:read";
/// Register, change and delete clients.
pub const CLIENTS_WRITE: &str = "user-auth:clients:write";
/// Read the resource servers and their scopes.
pub const RESOURCES_READ: &str = "user-auth:resources:read";
/// Define and delete resource servers.
pub const RESOURCES_WRITE: &str = "user-auth:resources:write";
/// Read and verify the audit trail.
pub const AUDIT_READ: &str = "user-auth:audit:read";
/// Read the metrics of the host, which checks this permission itself.
pub const METRICS_READ: &str = "user-auth:metrics:read";
/// Introspect and revoke any token.
pub const TOKENS_INTROSPECT: &str = "user-auth:tokens:introspect";

/// The permissions of this service, each in words for the consent page. A client gets no
/// metrics: the host requires an API key for them.
pub const OWN: [(&str, &str); 12] = [
    (USERS_READ, "Read all accounts"),
    (
        USERS_WRITE,
        "Disable, delete and import accounts, and reset passwords",
    ),
    (ROLES_READ, "Read roles and who has them"),
    (ROLES_WRITE, "Define, assign and remove roles"),
    (API_KEYS_WRITE, "Create and end API keys of others"),
    (SIGNING_KEYS_WRITE, "Rotate the signing keys"),
    (CLIENTS_READ, "Read the clients"),
    (CLIENTS_WRITE, "Register, change and delete clients"),
    (RESOURCES_READ, "Read the resource servers and their scopes"),
    (RESOURCES_WRITE, "Define and delete resource servers"),
    (AUDIT_READ, "Read the audit trail"),
    (TOKENS_INTROSPECT, "Introspect and revoke any token"),
];

/// What the names of this service's own permissions begin with.
const NAMESPACE: &str = "user-auth:";
/// The longest scope, since it is sent in a header of each request.
pub const MAX_SCOPE_BYTES: usize = 1024;
const MAX_BYTES: usize = 128;
const PATTERN: &str = "^[a-z0-9._-]+(:[a-z0-9._-]+)*$";
const GRANT_PATTERN: &str = r"^(\*|[a-z0-9._-]+(:[a-z0-9._-]+)*(:\*)?)$";

/// The name of one permitted action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = PATTERN, "maxLength" = MAX_BYTES))]
pub struct Permission(String);

/// A grant: one permission, all permissions below a prefix that ends with `:*`, or all
/// permissions with `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = GRANT_PATTERN, "maxLength" = MAX_BYTES))]
pub struct Grant(String);

/// A grant as input. If it begins with `user-auth:`, it includes a permission that this
/// service has: any other grant there is misspelt, and would silently permit nothing.
/// Only input is held to that, so that stored grants stay readable.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Grant")]
pub struct InputGrant(pub Grant);

impl Permission {
    /// Returns one of the permissions defined above.
    pub fn own(name: &'static str) -> Permission {
        Permission(name.to_owned())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports whether the name belongs to this service itself.
    pub fn is_own(&self) -> bool {
        self.0.starts_with(NAMESPACE)
    }
}

impl Grant {
    /// Returns the grant of all permissions.
    pub fn everything() -> Grant {
        Grant("*".to_owned())
    }

    /// Returns the grant of one permission.
    pub fn of(permission: Permission) -> Grant {
        Grant(permission.0)
    }

    /// Reports whether this grant includes the permission.
    pub fn permits(&self, permission: &Permission) -> bool {
        self.contains(permission.as_str())
    }

    /// Reports whether this grant includes everything that the other does.
    pub fn covers(&self, other: &Grant) -> bool {
        match (self.0.strip_suffix('*'), other.0.strip_suffix('*')) {
            (Some(prefix), Some(other)) => other.starts_with(prefix),
            (None, Some(_)) => false,
            (_, None) => self.contains(&other.0),
        }
    }

    /// Returns the grant as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `a:*` contains the names below `a`, not `a` itself.
    fn contains(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.0 == name,
        }
    }
}

impl TryFrom<String> for Permission {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Permission, Self::Error> {
        if !is_name(&text) {
            return Err("expected lower-case segments such as billing:invoices:read");
        }
        Ok(Permission(text))
    }
}

impl TryFrom<String> for Grant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Grant, Self::Error> {
        let name = text.strip_suffix(":*").unwrap_or(&text);
        if text != "*" && !is_name(name) {
            return Err("expected a permission such as billing:read, or billing:*, or *");
        }
        Ok(Grant(text))
    }
}

impl TryFrom<Grant> for InputGrant {
    type Error = String;

    fn try_from(grant: Grant) -> Result<InputGrant, Self::Error> {
        let own = OWN.iter().map(|(name, _)| *name).chain([METRICS_READ]);
        if !grant.0.starts_with(NAMESPACE) || own.clone().any(|name| grant.contains(name)) {
            return Ok(InputGrant(grant));
        }
        let own: Vec<&str> = own.collect();
        Err(format!(
            "user-auth has no such permission; it has {}",
            own.join(", ")
        ))
    }
}

impl From<Permission> for String {
    fn from(permission: Permission) -> String {
        permission.0
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> String {
        grant.0
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Merges several groups of grants, one per role, without grants that others cover. Each
/// grant preceded by a space, the result has at most `max_bytes`. If it would be longer,
/// whole groups are left out, the largest first, so that a role with many grants takes
/// nothing away from a smaller one.
pub fn summary(groups: Vec<Vec<Grant>>, max_bytes: usize) -> Vec<Grant> {
    let all = without_covered(groups.concat());
    if len(&all) <= max_bytes {
        return all;
    }
    let mut groups: Vec<Vec<Grant>> = groups.into_iter().map(without_covered).collect();
    let mut summary = Vec::new();
    while let Some(smallest) = smallest(&groups) {
        let group = groups.remove(smallest);
        let longer = without_covered([summary.clone(), group].concat());
        if len(&longer) > max_bytes {
            break;
        }
        summary = longer;
    }
    summary
}

fn smallest(groups: &[Vec<Grant>]) -> Option<usize> {
    (0..groups.len()).min_by_key(|index| len(&groups[*index]))
}

/// Removes the grants that others cover. No character of a grant sorts before `*`, so a
/// grant comes right before all grants that it covers.
fn without_covered(mut grants: Vec<Grant>) -> Vec<Grant> {
    grants.sort_unstable();
    grants.dedup_by(|grant, before| before.covers(grant));
    grants
}

fn len(grants: &[Grant]) -> usize {
    grants.iter().map(|grant| 1 + grant.0.len()).sum()
}

fn is_name(text: &str) -> bool {
    let is_segment = |segment: &str| {
        let mut bytes = segment.bytes();
        !segment.is_empty()
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    text.len() <= MAX_BYTES && text.split(':').all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::{Grant, Permission, summary};

    fn grant(text: &str) -> Grant {
        Grant::try_from(text.to_owned()).unwrap()
    }

    fn permission(text: &str) -> Permission {
        Permission::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn grants_permit_only_the_permissions_that_they_name() {
        for (granted, asked, expected) in [
            ("billing:read", "billing:read", true),
            ("billing:read", "billing:readall", false),
            ("billing:read", "billing:read:all", false),
            ("billing:*", "billing:read", true),
            ("billing:*", "billing:invoices:read", true),
            ("billing:*", "billing", false),
            ("billing:*", "billing2:read", false),
            ("*", "anything", true),
        ] {
            assert_eq!(
                grant(granted).permits(&permission(asked)),
                expected,
                "{granted} {asked}"
            );
        }
    }

    #[test]
    fn a_grant_covers_only_grants_that_it_contains_completely() {
        for (granted, other, expected) in [
            ("*", "*", true),
            ("*", "billing:*", true),
            ("billing:*", "*", false),
            ("billing:*", "billing:*", true),
            ("billing:*", "billing:invoices:*", true),
            ("billing:invoices:*", "billing:*", false),
            ("billing:*", "billing:read", true),
            ("billing:*", "billing2:*", false),
            ("billing:read", "billing:*", false),
            ("billing", "billing:*", false),
        ] {
            assert_eq!(
                grant(granted).covers(&grant(other)),
                expected,
                "{granted} {other}"
            );
        }
    }

    fn summary_of(groups: &[&[&str]], max_bytes: usize) -> String {
        let grants = |group: &&[&str]| group.iter().map(|text| grant(text)).collect();
        let summary = summary(groups.iter().map(grants).collect(), max_bytes);
        let texts: Vec<&str> = summary.iter().map(Grant::as_str).collect();
        texts.join(" ")
    }

    #[test]
    fn summaries_omit_grants_that_broader_grants_cover() {
        let many: Vec<String> = (0..100).map(|n| format!("shop:{n:0>100}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (groups, expected) in [
            (&[&many[..], &["*"]][..], "*"),
            (&[&["shop:*"], &many[..]], "shop:*"),
            (&[&["a:*", "a", "a:b:*"], &["a:b", "b:c"]], "a a:* b:c"),
            (
                &[&["a:b", "a:*", "a-b:c", "a.b", "a_b", "ab"]],
                "a-b:c a.b a:* a_b ab",
            ),
            (&[&["a:b:*", "a:b-c", "a:b:c"], &["a:b:*"]], "a:b-c a:b:*"),
            (&[&[], &[]], ""),
        ] {
            assert_eq!(summary_of(groups, 1000), expected);
        }
    }

    #[test]
    fn large_groups_do_not_crowd_smaller_groups_out_of_a_summary() {
        let small = ["billing:*", "ops:run"];
        let middle = ["shop:read", "shop:write", "shop:list"];
        let large = ["wiki:0123456789", "wiki:abcdefghij", "wiki:klmnopqrst"];
        let groups: [&[&str]; 3] = [&large, &small, &middle];
        let all = summary_of(&groups, 1000);
        // Each grant is preceded by a space.
        assert_eq!(summary_of(&groups, all.len() + 1), all);
        let without_large = "billing:* ops:run shop:list shop:read shop:write";
        assert_eq!(summary_of(&groups, all.len()), without_large);
        assert_eq!(summary_of(&groups, 30), "billing:* ops:run");
        assert_eq!(summary_of(&groups, 18), "billing:* ops:run");
        assert_eq!(summary_of(&groups, 17), "");
    }

    #[test]
    fn invalid_permissions_and_grants_are_rejected() {
        for text in [
            "", ":", "a:", ":a", "A", "a b", "a:*", "a*", "a::b", "ä", "*",
        ] {
            assert!(Permission::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["", "**", "a*", "*:a", "a:*:b", ":*"] {
            assert!(Grant::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
