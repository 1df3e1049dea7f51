//! The list of tools.

use crate::operations::TABLE;
use crate::testing::World;

/// As the operator sends it, who gets all tools.
const LIST_TOOLS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

#[test]
fn every_tool_has_a_complete_description() {
    let mut world = World::new().with_pages();
    let answer = world.stdio(LIST_TOOLS);
    assert!(!answer.to_string().contains("outputSchema"));
    world.settings.output_schemas = true;
    let answer = world.stdio(LIST_TOOLS);
    let tools = answer["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), TABLE.len());
    assert_eq!(tools[0]["name"], "user-auth_get_capabilities");
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        assert!(tool["description"].as_str().unwrap().len() > 40, "{name}");
        assert!(tool["title"].is_string(), "{name}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        for hint in ["readOnlyHint", "destructiveHint", "openWorldHint"] {
            assert!(tool["annotations"][hint].is_boolean(), "{name} {hint}");
        }
        let properties = tool["inputSchema"]["properties"].as_object();
        for (field, schema) in properties.into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}.{field}");
        }
    }
}

/// Models read the whole list before they do anything.
#[test]
fn the_list_of_all_tools_has_at_most_45_kb() {
    let mut world = World::new().with_pages();
    let size = |world: &World| world.stdio(LIST_TOOLS)["result"].to_string().len();
    let without = size(&world);
    assert!(without <= 45_000, "{without} bytes");
    world.settings.output_schemas = true;
    let with = size(&world);
    assert!(without + 10_000 < with && with <= 65_000, "{with} bytes");
}

/// Tools that end or replace something are destructive, and so are tools that extend the
/// privileges of an account or a key. Among the tools that change something, only these
/// are neither.
#[test]
fn tools_that_extend_privileges_are_marked_destructive() {
    let world = World::new().with_pages();
    let answer = world.stdio(LIST_TOOLS);
    let tools = answer["result"]["tools"].as_array().unwrap();
    let harmless = tools.iter().filter(|tool| {
        let hints = &tool["annotations"];
        hints["readOnlyHint"] == false && hints["destructiveHint"] == false
    });
    let mut harmless: Vec<&str> = harmless
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    harmless.sort_unstable();
    assert_eq!(
        harmless,
        [
            "user-auth_begin_sign_in",
            "user-auth_complete_login",
            "user-auth_complete_sign_in",
            "user-auth_create_service_account",
            "user-auth_issue_token",
            "user-auth_login",
            "user-auth_register",
            "user-auth_request_email_change",
            "user-auth_request_email_verification",
            "user-auth_request_password_reset",
        ]
    );
}
