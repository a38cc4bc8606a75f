//! `auth`, `user` and `role`.

use clap::{ArgMatches, Command};

use super::flags::{arguments, given, group, is_on, leaf, switch, text, texts, value};
use crate::api::proto::authpb::permission::Type;
use crate::ctl::failure::Failure;
use crate::ctl::secret::{NewPassword, Secret};

/// A command about authentication as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Auth {
    Enable,
    Disable,
    Status,
}

/// A command about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum User {
    /// Without a password if only a certificate may name the user.
    Add {
        name: String,
        password: Option<NewPassword>,
    },
    Delete(String),
    Get {
        name: String,
        detail: bool,
    },
    List,
    Passwd {
        name: String,
        password: NewPassword,
    },
    GrantRole {
        user: String,
        role: String,
    },
    RevokeRole {
        user: String,
        role: String,
    },
}

/// A command about a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Role {
    Add(String),
    Delete(String),
    Get(String),
    List,
    Grant { role: String, permission: Type, range: Keys },
    Revoke { role: String, range: Keys },
}

/// The keys of a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Keys {
    /// As it was given, for the answer.
    pub(in crate::ctl) named: Vec<u8>,
    pub(in crate::ctl) key: Vec<u8>,
    /// Empty for a single key, a zero byte for everything from the key on.
    pub(in crate::ctl) end: Vec<u8>,
}

/// The three commands.
pub(super) fn commands() -> [Command; 3] {
    let auth = vec![
        leaf("enable", "auth enable", "Turn authentication on; the user root must exist"),
        leaf("disable", "auth disable", "Turn authentication off"),
        leaf(
            "status",
            "auth status",
            "Print whether authentication is on, and the revision of users and roles",
        ),
    ];
    [group("auth", "Turn authentication on or off", auth), user(), role()]
}

fn user() -> Command {
    let typed = |help| switch("interactive", help);
    let asked = "Ask for the password twice; false: read one word from standard input [default: true]";
    let add =
        leaf("add", "user add USER[:PASSWORD]", "Add a user, and ask for the password if it is not given")
            .arg(typed(asked))
            .arg(value(
                "new-user-password",
                "PASSWORD",
                "The password; other users of this machine may see it",
            ))
            .arg(switch("no-password", "Add a user without a password, whom only a certificate can name"));
    let get = leaf("get", "user get USER", "Print the roles of a user")
        .arg(switch("detail", "Print the permissions of the roles, too"));
    let commands = vec![
        add,
        leaf("delete", "user delete USER", "Delete a user"),
        get,
        leaf("list", "user list", "List all users"),
        leaf("passwd", "user passwd USER", "Change the password of a user").arg(typed(asked)),
        leaf("grant-role", "user grant-role USER ROLE", "Give a role to a user"),
        leaf("revoke-role", "user revoke-role USER ROLE", "Take a role from a user"),
    ];
    group("user", "Users, and the roles that they have", commands)
}

fn role() -> Command {
    let flags = || {
        [
            switch("prefix", "All keys that begin with KEY"),
            switch("from-key", "All keys that are KEY or greater, byte by byte"),
        ]
    };
    let grant = "role grant-permission ROLE read|write|readwrite KEY [RANGE_END]";
    let commands = vec![
        leaf("add", "role add ROLE", "Add a role"),
        leaf("delete", "role delete ROLE", "Delete a role"),
        leaf("get", "role get ROLE", "Print the permissions of a role"),
        leaf("list", "role list", "List all roles"),
        leaf("grant-permission", grant, "Let a role read or write keys").args(flags()),
        leaf(
            "revoke-permission",
            "role revoke-permission ROLE KEY [RANGE_END]",
            "Take a permission from a role",
        )
        .args(flags()),
    ];
    group("role", "Roles, and the permissions that they have", commands)
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read_auth(name: &str, matches: &ArgMatches) -> Result<Auth, Failure> {
    let _: [String; 0] = texts(matches, &format!("auth {name} command does not accept any arguments"))?;
    Ok(match name {
        "enable" => Auth::Enable,
        "disable" => Auth::Disable,
        _ => Auth::Status,
    })
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read_user(name: &str, matches: &ArgMatches) -> Result<User, Failure> {
    let one = || texts(matches, &format!("user {name} command requires user name as its argument"));
    match name {
        "add" => {
            let [argument] = one()?;
            added(argument, matches)
        }
        "delete" => one().map(|[name]| User::Delete(name)),
        "get" => {
            let [name] = one()?;
            Ok(User::Get { name, detail: is_on(matches, "detail")? })
        }
        "list" => texts(matches, "user list command requires no arguments").map(|[]: [String; 0]| User::List),
        "passwd" => {
            let [name] = one()?;
            Ok(User::Passwd { name, password: asked(matches)? })
        }
        "grant-role" => {
            let refusal = "user grant command requires user name and role name as its argument";
            texts(matches, refusal).map(|[user, role]| User::GrantRole { user, role })
        }
        _ => {
            let refusal = "user revoke-role requires user name and role name as its argument";
            texts(matches, refusal).map(|[user, role]| User::RevokeRole { user, role })
        }
    }
}

/// The user that `argument` names, with the password from whichever flag has it.
fn added(argument: String, matches: &ArgMatches) -> Result<User, Failure> {
    if is_on(matches, "no-password")? {
        return Ok(User::Add { name: argument, password: None });
    }
    if let Some(password) = given(matches, "new-user-password").filter(|password| !password.is_empty()) {
        let password = Some(NewPassword::Known(Secret::from(password)));
        return Ok(User::Add { name: argument, password });
    }
    match argument.split_once(':') {
        Some(("", _)) => Err(Failure::arguments("empty user name is not allowed")),
        Some((name, password)) => {
            let password = Some(NewPassword::Known(Secret::from(password)));
            Ok(User::Add { name: name.to_string(), password })
        }
        None => Ok(User::Add { name: argument, password: Some(asked(matches)?) }),
    }
}

fn asked(matches: &ArgMatches) -> Result<NewPassword, Failure> {
    let typed = given(matches, "interactive").is_none() || is_on(matches, "interactive")?;
    Ok(if typed { NewPassword::Asked } else { NewPassword::Piped })
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read_role(name: &str, matches: &ArgMatches) -> Result<Role, Failure> {
    let one = || texts(matches, &format!("role {name} command requires role name as its argument"));
    match name {
        "add" => one().map(|[role]| Role::Add(role)),
        "delete" => one().map(|[role]| Role::Delete(role)),
        "get" => one().map(|[role]| Role::Get(role)),
        "list" => texts(matches, "role list command requires no arguments").map(|[]: [String; 0]| Role::List),
        "grant-permission" => {
            let mut given = arguments(matches).into_iter();
            let (Some(role), Some(permission), Some(key)) = (given.next(), given.next(), given.next()) else {
                let refusal = "role grant command requires role name, permission type, and key [endkey] as its argument";
                return Err(Failure::arguments(refusal));
            };
            let permission = permission_named(&text(permission)?)?;
            Ok(Role::Grant { role: text(role)?, permission, range: keys(key, given.next(), matches)? })
        }
        _ => {
            let mut given = arguments(matches).into_iter();
            let (Some(role), Some(key)) = (given.next(), given.next()) else {
                let refusal =
                    "role revoke-permission command requires role name and key [endkey] as its argument";
                return Err(Failure::arguments(refusal));
            };
            Ok(Role::Revoke { role: text(role)?, range: keys(key, given.next(), matches)? })
        }
    }
}

/// In any case of letters.
fn permission_named(name: &str) -> Result<Type, Failure> {
    let types = [Type::Read, Type::Write, Type::Readwrite];
    let found = types.into_iter().find(|one| one.as_str_name() == name.to_uppercase());
    found.ok_or_else(|| Failure::arguments(format!("invalid permission type: {name}")))
}

/// The keys that the arguments and `--prefix` or `--from-key` name. A range of all keys begins with a zero byte, the
/// least key.
fn keys(named: Vec<u8>, end: Option<Vec<u8>>, matches: &ArgMatches) -> Result<Keys, Failure> {
    const ALL: &[u8] = b"\0";
    let (prefix, from_key) = (is_on(matches, "prefix")?, is_on(matches, "from-key")?);
    if prefix && from_key && (named.is_empty() || end.is_none()) {
        return Err(Failure::arguments("--from-key and --prefix flags are mutually exclusive"));
    }
    if named.is_empty() {
        let end = if prefix || from_key { ALL.to_vec() } else { Vec::new() };
        return Ok(Keys { named, key: ALL.to_vec(), end });
    }
    let end = match end {
        Some(_) if prefix => return Err(Failure::arguments("unexpected endkey argument with --prefix flag")),
        Some(_) if from_key => {
            return Err(Failure::arguments("unexpected endkey argument with --from-key flag"));
        }
        Some(end) => end,
        None if prefix => crate::ctl::keys::prefix_end(&named),
        None if from_key => ALL.to_vec(),
        None => Vec::new(),
    };
    Ok(Keys { key: named.clone(), named, end })
}
