"""Drives a server with the official Python SDK: discovers the version, lists and calls
each tool, reads each resource and gets each prompt.

Usage: python_sdk.py (auto|legacy|2026-07-28) (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import base64
import hmac
import json
import sys
import time

from mcp import Client, StdioServerParameters
import mcp.types as types

PASSWORD = "correct horse battery staple"
RESOURCES = {
    "mcp://user-auth/metrics",
    "mcp://user-auth/capabilities",
    "mcp://user-auth/health",
}
PROMPTS = {"sign_up_user", "diagnose_login_failure", "end_compromised_sessions"}


async def main(mode: str, server: str | StdioServerParameters) -> None:
    async with Client(server, mode=mode, cache=None) as client:
        modern = client.protocol_version == "2026-07-28"
        assert modern == (mode != "legacy"), client.protocol_version
        if mode != "2026-07-28":  # this mode sends nothing before its first call
            assert client.server_info.name == "user-auth", client.server_info
            assert "user-auth_get_capabilities" in client.instructions
        await tools(client, f"python-{mode}")
        await resources(client)
        await prompts(client)
    print("ok")


async def tools(client: Client, username: str) -> None:
    listed = (await client.list_tools()).tools
    assert all(tool.description and tool.output_schema for tool in listed)
    uncalled = {tool.name for tool in listed}

    async def call(operation: str, /, **arguments) -> dict:
        uncalled.discard(f"user-auth_{operation}")
        result = await client.call_tool(f"user-auth_{operation}", arguments)
        assert not result.is_error, result
        # Some clients pass only the text to the model, others only the structured content.
        assert json.loads(result.content[0].text) == result.structured_content
        return result.structured_content

    capabilities = await call("get_capabilities")
    assert capabilities["module"] == "UserAuth", capabilities
    tools = {capabilities["tool_prefix"] + name for name in capabilities["operations"]}
    assert tools == {tool.name for tool in listed}, listed
    described = await call("get_capabilities", operation="login")
    assert described["input_schema"]["required"] == ["username", "password"], described
    account = await call("register", username=username, password=PASSWORD)
    tokens = await call(
        "execute_primary_operation", data={"username": username, "password": PASSWORD}
    )
    verified = await call("verify_token", token=tokens["access_token"])
    assert verified["active"] and verified["sub"] == account["user_id"], verified
    session = await call("get_session", access_token=tokens["access_token"])
    assert session["session_id"] == tokens["session_id"], session
    sessions = await call("list_sessions", access_token=tokens["access_token"])
    assert sessions["sessions"][0]["current"], sessions
    tokens = await call("refresh_token", refresh_token=tokens["refresh_token"])
    await call("logout", refresh_token=tokens["refresh_token"])
    verified = await call("verify_token", token=tokens["access_token"])
    assert verified == {"active": False}, verified
    tokens = await call("login", username=username, password=PASSWORD)

    # With a second factor a login returns another object, which the schema also allows.
    own = {"access_token": tokens["access_token"]}
    enrolment = await call("enroll_totp", **own)
    code = totp(enrolment["secret"], int(time.time()) // 30)
    confirmed = await call("confirm_totp", code=code, **own)
    data = {"username": username, "password": PASSWORD}
    asked = await call("execute_primary_operation", data=data)
    assert set(asked) == {"challenge", "expires_in", "methods"}, asked
    asked = await call("login", username=username, password=PASSWORD)
    code = confirmed["recovery_codes"][0]
    tokens = await call("complete_login", challenge=asked["challenge"], code=code)
    own = {"access_token": tokens["access_token"]}
    session = await call("get_session", **own)
    assert session["acr"] == "aal2", session
    renewed = await call("create_recovery_codes", **own)
    assert not set(renewed["recovery_codes"]) & set(confirmed["recovery_codes"])
    await call("disable_totp", **own)

    # A failed operation is a result, for the model to read.
    wrong = {"username": username, "password": "not the right one"}
    result = await client.call_tool("user-auth_login", wrong)
    assert result.is_error, result
    assert result.structured_content["error"]["code"] == -32001, result

    # The other tools require a caller or input, and each reports what is missing.
    for tool in uncalled:
        result = await client.call_tool(tool, {})
        error = result.structured_content.get("error") if result.is_error else None
        assert error is None or error["data"]["module"] == "UserAuth", (tool, error)

    progress = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append((done, total))

    wanted = {"username": f"{username}-2", "password": PASSWORD}
    await client.call_tool("user-auth_register", wanted, progress_callback=on_progress)
    assert progress == [(0, 2), (1, 2), (2, 2)], progress


def totp(secret: str, step: int) -> str:
    """Returns the code of an authenticator app (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


async def resources(client: Client) -> None:
    listed = (await client.list_resources()).resources
    assert {str(resource.uri) for resource in listed} == RESOURCES, listed
    for resource in listed:
        contents = (await client.read_resource(resource.uri)).contents
        json.loads(contents[0].text)
    metrics = json.loads((await client.read_resource("mcp://user-auth/metrics")).contents[0].text)
    assert metrics["operations"]["login"]["calls"] >= 2, metrics
    templates = (await client.list_resource_templates()).resource_templates
    assert [t.uri_template for t in templates] == ["mcp://user-auth/sessions/{session_id}"]


async def prompts(client: Client) -> None:
    listed = (await client.list_prompts()).prompts
    assert {prompt.name for prompt in listed} == PROMPTS, listed
    for prompt in listed:
        arguments = {argument.name: "alice" for argument in prompt.arguments if argument.required}
        messages = (await client.get_prompt(prompt.name, arguments)).messages
        assert "alice" in messages[0].content.text, messages
    completion = await client.complete(
        types.PromptReference(name="diagnose_login_failure"),
        {"name": "error_code", "value": "-32003"},
    )
    assert completion.completion.values == ["-32003"], completion


if __name__ == "__main__":
    mode, target, *arguments = sys.argv[1:]
    if target.startswith("http"):
        asyncio.run(main(mode, target))
    else:
        asyncio.run(main(mode, StdioServerParameters(command=target, args=arguments)))
