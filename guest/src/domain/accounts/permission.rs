//! Permissions: names of what may be done, in segments such as
//! `user-auth:users:read`. What they mean is for those to say who check them;
//! those that begin with `user-auth:` are this service's own.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See every account.
pub const USERS_READ: &str = "user-auth:users:read";
/// Disable, enable, unlock, delete and import accounts, and reset passwords.
pub const USERS_WRITE: &str = "user-auth:users:write";
/// See roles and whose they are.
pub const ROLES_READ: &str = "user-auth:roles:read";
/// Define roles, and give and take them.
pub const ROLES_WRITE: &str = "user-auth:roles:write";
/// Make and end API keys of others, and make service accounts.
pub const API_KEYS_WRITE: &str = "user-auth:api-keys:write";
/// See the signing keys, and rotate them.
pub const SIGNING_KEYS_WRITE: &str = "user-auth:signing-keys:write";
/// Read and verify the audit trail.
pub const AUDIT_READ: &str = "user-auth:audit:read";
/// Ask whose any token is, and revoke it.
pub const TOKENS_INTROSPECT: &str = "user-auth:tokens:introspect";

/// The longest scope: it travels in a header of each request.
pub const MAX_SCOPE_BYTES: usize = 1024;
const MAX_BYTES: usize = 128;
const PATTERN: &str = "^[a-z0-9._-]+(:[a-z0-9._-]+)*$";
const GRANT_PATTERN: &str = r"^(\*|[a-z0-9._-]+(:[a-z0-9._-]+)*(:\*)?)$";

/// The name of one thing that may be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = PATTERN, "maxLength" = MAX_BYTES))]
pub struct Permission(String);

/// What is granted: one permission, or with `:*` at its end all below it, or
/// with `*` everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = GRANT_PATTERN, "maxLength" = MAX_BYTES))]
pub struct Grant(String);

impl Permission {
    /// One of the constants above.
    pub fn own(name: &'static str) -> Permission {
        Permission(name.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Grant {
    /// Everything.
    pub fn everything() -> Grant {
        Grant("*".to_owned())
    }

    /// Whether this permits it.
    pub fn permits(&self, permission: &Permission) -> bool {
        self.contains(permission.as_str())
    }

    /// Whether this grants all that the other does.
    pub fn covers(&self, other: &Grant) -> bool {
        match (self.0.strip_suffix('*'), other.0.strip_suffix('*')) {
            (Some(prefix), Some(other)) => other.starts_with(prefix),
            (None, Some(_)) => false,
            (_, None) => self.contains(&other.0),
        }
    }

    /// The grant as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `a:*` holds what is below `a`, not `a` itself.
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

/// What several groups grant, each the grants of one role, without grants that others
/// cover. A blank before each, it takes no more than `max_bytes`: of more, whole groups
/// are left out, the largest first, so that what swells one role takes nothing from a
/// smaller one.
pub fn summary(groups: Vec<Vec<Grant>>, max_bytes: usize) -> Vec<Grant> {
    let all = without_covered(groups.concat());
    if len(&all) <= max_bytes {
        return all;
    }
    let mut groups: Vec<Vec<Grant>> = groups.into_iter().map(without_covered).collect();
    groups.sort_by_key(|group| len(group));
    let mut summary = Vec::new();
    for group in groups {
        let longer = without_covered([summary.clone(), group].concat());
        if len(&longer) > max_bytes {
            break;
        }
        summary = longer;
    }
    summary
}

/// No character of a grant sorts before `*`, so a grant stands right before all those
/// that it covers.
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
    fn a_grant_permits_what_it_names_and_no_more() {
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
    fn a_grant_covers_only_what_it_holds_whole() {
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
    fn a_summary_leaves_out_what_a_broader_grant_covers() {
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
    fn what_swells_one_group_takes_nothing_from_a_smaller_one() {
        let small = ["billing:*", "ops:run"];
        let middle = ["shop:read", "shop:write", "shop:list"];
        let large = ["wiki:0123456789", "wiki:abcdefghij", "wiki:klmnopqrst"];
        let groups: [&[&str]; 3] = [&large, &small, &middle];
        let all = summary_of(&groups, 1000);
        // A blank stands before each.
        assert_eq!(summary_of(&groups, all.len() + 1), all);
        let without_large = "billing:* ops:run shop:list shop:read shop:write";
        assert_eq!(summary_of(&groups, all.len()), without_large);
        assert_eq!(summary_of(&groups, 30), "billing:* ops:run");
        assert_eq!(summary_of(&groups, 18), "billing:* ops:run");
        assert_eq!(summary_of(&groups, 17), "");
    }

    #[test]
    fn what_is_no_permission_is_refused() {
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
