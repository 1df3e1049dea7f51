//! Toolsets: groups of operations that are switched on or off as a whole for MCP callers. An
//! operation that is off does not exist for them, whatever permissions they have.

/// A group of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolset {
    /// Registering, logging in and out, and resetting a password.
    Auth,
    /// The caller's own account: its sessions, its password, its email address.
    Account,
    /// Verifying, issuing and revoking tokens.
    Tokens,
    /// The accounts of all users.
    Users,
    /// Roles and what they permit.
    Roles,
    /// Credentials beside the password: API keys, authenticator apps, recovery codes.
    Keys,
    /// OAuth clients, and what users have granted to them.
    Clients,
    /// The audit log.
    Audit,
    /// The service itself: its resource servers and signing keys.
    Service,
}

impl Toolset {
    /// All toolsets, in the order in which they are listed.
    pub const ALL: [Toolset; 9] = [
        Toolset::Auth,
        Toolset::Account,
        Toolset::Tokens,
        Toolset::Users,
        Toolset::Roles,
        Toolset::Keys,
        Toolset::Clients,
        Toolset::Audit,
        Toolset::Service,
    ];

    /// Returns the name in settings and requests.
    pub fn name(self) -> &'static str {
        match self {
            Toolset::Auth => "auth",
            Toolset::Account => "account",
            Toolset::Tokens => "tokens",
            Toolset::Users => "users",
            Toolset::Roles => "roles",
            Toolset::Keys => "keys",
            Toolset::Clients => "clients",
            Toolset::Audit => "audit",
            Toolset::Service => "service",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of toolsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toolsets(u16);

impl Toolsets {
    /// All toolsets.
    pub const ALL: Toolsets = Toolsets((1 << Toolset::ALL.len()) - 1);

    /// What MCP callers get if nothing else is set: what users need for their own accounts,
    /// and services for the tokens that they are shown.
    pub const USUAL: Toolsets =
        Toolsets(Toolset::Auth.bit() | Toolset::Account.bit() | Toolset::Tokens.bit());

    /// What a list of toolsets has to look like.
    pub const EXPECTED: &str = "all, or names of toolsets separated by commas: auth, account, \
        tokens, users, roles, keys, clients, audit, service";

    /// Parses a list of names, separated by commas; `all` stands for all. Fails with the first
    /// name that is unknown, which is empty if there is none.
    pub fn parse(list: &str) -> Result<Toolsets, &str> {
        let mut set = Toolsets(0);
        for name in list.split(',') {
            let name = name.trim_matches([' ', '\t']);
            let named = match name {
                "all" => Toolsets::ALL,
                name => {
                    let known = Toolset::ALL.into_iter().find(|it| it.name() == name);
                    Toolsets(known.ok_or(name)?.bit())
                }
            };
            set = Toolsets(set.0 | named.0);
        }
        Ok(set)
    }

    /// Reports whether a toolset is in the set.
    pub fn contains(self, toolset: Toolset) -> bool {
        self.0 & toolset.bit() != 0
    }

    /// Returns the toolsets that are in both sets.
    pub fn both(self, other: Toolsets) -> Toolsets {
        Toolsets(self.0 & other.0)
    }
}

/// The operations that a door offers, before anything is known of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The toolsets that are switched on.
    pub toolsets: Toolsets,
    /// Whether only operations that change nothing are offered.
    pub read_only: bool,
    /// Whether operations that take a password are left out.
    pub without_passwords: bool,
    /// Whether lists also leave out what the caller lacks the permission for.
    pub lists_by_permission: bool,
}

/// Why an operation is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Its toolset is not switched on.
    Toolset(Toolset),
    /// It changes something, and only reading is offered.
    ReadOnly,
    /// It takes a password, and users sign in on a page.
    Password,
}

impl Offer {
    /// The offer of everything.
    pub const EVERYTHING: Offer = Offer {
        toolsets: Toolsets::ALL,
        read_only: false,
        without_passwords: false,
        lists_by_permission: false,
    };

    /// Returns the part of this offer that a connection asks for.
    pub fn narrowed(self, toolsets: Toolsets, read_only: bool) -> Offer {
        Offer {
            toolsets: self.toolsets.both(toolsets),
            read_only: self.read_only || read_only,
            ..self
        }
    }

    /// Returns why an operation is not offered, or `None` if it is. An operation of no
    /// toolset is offered always.
    pub fn withholds(self, toolset: Option<Toolset>, changes_nothing: bool) -> Option<Withheld> {
        let toolset = toolset?;
        if !self.toolsets.contains(toolset) {
            return Some(Withheld::Toolset(toolset));
        }
        (self.read_only && !changes_nothing).then_some(Withheld::ReadOnly)
    }
}

impl Withheld {
    /// Returns the reason, for the error.
    pub fn problem(self) -> String {
        match self {
            Withheld::Toolset(toolset) => {
                format!("the toolset {} is not switched on", toolset.name())
            }
            Withheld::ReadOnly => "this connection is read-only".to_owned(),
            Withheld::Password => "it takes a password, which users type on a page only".to_owned(),
        }
    }

    /// Returns what can be done about it.
    pub fn action(self) -> String {
        match self {
            Withheld::Toolset(toolset) => format!(
                "ask the operator to add {} to mcp.toolsets (--toolsets), and name it if the \
                 connection names toolsets itself",
                toolset.name()
            ),
            Withheld::ReadOnly => "if the change is wanted, ask the operator for a connection \
                without mcp.read_only (--read-only, /mcp/readonly, X-MCP-Readonly)"
                .to_owned(),
            Withheld::Password => {
                "let the user sign in by begin_sign_in, if there is such a tool; \
                the operator can change mcp.password_tools"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_known_toolsets_only() {
        for toolset in Toolset::ALL {
            let alone = Toolsets::parse(toolset.name()).unwrap();
            let contained = Toolset::ALL.into_iter().filter(|it| alone.contains(*it));
            assert_eq!(contained.collect::<Vec<_>>(), [toolset]);
            assert!(Toolsets::EXPECTED.contains(toolset.name()));
            assert!(Toolsets::ALL.contains(toolset));
        }
        assert_eq!(Toolsets::parse("auth, account,tokens"), Ok(Toolsets::USUAL));
        assert_eq!(Toolsets::parse("auth,all"), Ok(Toolsets::ALL));
        for wrong in ["", "Auth", "al", "auth;account", "login"] {
            assert_eq!(Toolsets::parse(wrong), Err(wrong));
        }
        for (wrong, unknown) in [(",", ""), ("auth,", ""), ("auth, user,users", "user")] {
            assert_eq!(Toolsets::parse(wrong), Err(unknown), "{wrong}");
        }
    }

    #[test]
    fn a_connection_can_only_narrow_an_offer() {
        let users = Toolsets::parse("users").unwrap();
        let usual = Offer {
            toolsets: Toolsets::USUAL,
            ..Offer::EVERYTHING
        };
        let nothing = usual.narrowed(users, true);
        for toolset in Toolset::ALL {
            assert!(!nothing.toolsets.contains(toolset));
        }
        assert!(nothing.narrowed(Toolsets::ALL, false).read_only);
        assert_eq!(usual.narrowed(Toolsets::ALL, false), usual);
    }

    #[test]
    fn an_operation_is_withheld_by_its_toolset_or_for_what_it_changes() {
        let (usual, all) = (Toolsets::USUAL, Toolsets::ALL);
        let of = |toolsets, read_only| Offer {
            toolsets,
            read_only,
            ..Offer::EVERYTHING
        };
        let (auth, users) = (Some(Toolset::Auth), Some(Toolset::Users));
        assert_eq!(of(usual, false).withholds(auth, false), None);
        let off = Some(Withheld::Toolset(Toolset::Users));
        assert_eq!(of(usual, false).withholds(users, true), off);
        assert_eq!(of(usual, true).withholds(users, false), off);
        assert_eq!(of(all, true).withholds(users, true), None);
        assert_eq!(
            of(all, true).withholds(users, false),
            Some(Withheld::ReadOnly)
        );
        assert_eq!(of(usual, true).withholds(None, false), None);
    }
}
