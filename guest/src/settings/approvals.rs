//! The calls of agents that their user has to approve one by one.

use crate::domain::access::actor::Requirement;
use crate::operations::{self, TABLE};

/// The operations, and the permissions of operations, that an agent needs an approval for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Approvals {
    /// The usual ones.
    #[default]
    Usual,
    /// The ones with these names.
    Listed(Vec<String>),
}

impl Approvals {
    /// What a list has to look like.
    pub const EXPECTED: &str = "none, or names separated by commas: of operations that require a \
        session or a permission, or of permissions that operations require";

    /// What destroys or gives away most.
    const USUAL: [&str; 6] = [
        "delete_user",
        "import_users",
        "rotate_signing_key",
        "assign_role",
        // It gives the same to all who have the role.
        "define_role",
        // It can send the codes of other users to another place.
        "update_client",
    ];

    /// Parses a list. Fails with the first name that stands for no operation that an agent is
    /// known to call.
    pub fn parse(list: &str) -> Result<Approvals, &str> {
        if list == "none" {
            return Ok(Approvals::Listed(Vec::new()));
        }
        let names = list.split(',').map(|name| {
            let name = name.trim();
            let operation = operations::find(name);
            let is_meant = match operation {
                Some(operation) => operation.requires != Requirement::Nothing,
                None => TABLE
                    .iter()
                    .any(|operation| operation.requires.permission() == Some(name)),
            };
            is_meant.then(|| name.to_owned()).ok_or(name)
        });
        Ok(Approvals::Listed(names.collect::<Result<_, _>>()?))
    }

    /// Reports whether the list has the name of an operation, or of its permission.
    pub fn include(&self, operation: &str, permission: Option<&str>) -> bool {
        let is_meant = |name: &str| name == operation || Some(name) == permission;
        match self {
            Approvals::Usual => Approvals::USUAL.into_iter().any(is_meant),
            Approvals::Listed(names) => names.iter().any(|name| is_meant(name)),
        }
    }
}
