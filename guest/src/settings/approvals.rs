//! The calls of agents that their user has to approve one by one.

use crate::domain::accounts::permission::Permission;
use crate::operations;

/// The operations, and the permissions of operations, that an agent needs an approval for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvals(Vec<String>);

impl Approvals {
    /// What a list has to look like.
    pub const EXPECTED: &str = "none, or names of operations and permissions, separated by commas";

    /// What destroys or gives away most.
    const USUAL: [&str; 4] = [
        "delete_user",
        "import_users",
        "rotate_signing_key",
        "assign_role",
    ];

    /// Parses a list. Returns `None` if there is no operation and can be no permission with one
    /// of the names.
    pub fn parse(list: &str) -> Option<Approvals> {
        let list = list.trim();
        if matches!(list, "" | "none") {
            return Some(Approvals(Vec::new()));
        }
        let names = list.split(',').map(|name| {
            let name = name.trim();
            let is_permission = || Permission::try_from(name.to_owned()).is_ok();
            let is_known =
                operations::find(name).is_some() || name.contains(':') && is_permission();
            is_known.then(|| name.to_owned())
        });
        Some(Approvals(names.collect::<Option<_>>()?))
    }

    /// Reports whether the list has the name of an operation, or of its permission.
    pub fn include(&self, operation: &str, permission: Option<&str>) -> bool {
        let is_meant = |name: &String| name == operation || Some(name.as_str()) == permission;
        self.0.iter().any(is_meant)
    }
}

impl Default for Approvals {
    fn default() -> Approvals {
        Approvals(Approvals::USUAL.map(str::to_owned).into())
    }
}
