"""Signs a user in with version 2 of the Python SDK, as an agent that must not see a password.

Prints, as a line of JSON, the page that the user has to open and the code that it has to
show, and waits for a line. Prints the name of the user who has signed in, and "ok" when the
session has ended. By "elicitation" the SDK asks to open the page; after a "handshake", an
error does; as "text", the agent finds it in the result of the tool.

Usage: python_agent.py (elicitation|text|handshake) (URL | PROGRAM ARGUMENT...)
"""

import asyncio
import json
import os
import sys

from mcp import Client, MCPError, StdioServerParameters, UrlElicitationRequiredError
import mcp.types as types


async def user_visits(url: str, code: str) -> None:
    print(json.dumps({"url": url, "code": code}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def opened(_, asked: types.ElicitRequestParams) -> types.ElicitResult:
    assert asked.mode == "url", asked
    await user_visits(asked.url, asked.message.split()[-1])
    return types.ElicitResult(action="accept")


async def main(way: str, server: str | StdioServerParameters) -> None:
    mode = "legacy" if way == "handshake" else "2026-07-28"
    opens = None if way == "text" else opened
    async with Client(server, mode=mode, cache=None, elicitation_callback=opens) as client:

        async def call(operation: str, /, **arguments) -> dict:
            result = await client.call_tool(f"user-auth_{operation}", arguments)
            assert not result.is_error, result
            return result.structured_content

        begun = await call("begin_sign_in", client_name="Desk agent")
        sign_in_id = begun["sign_in_id"]
        if way == "text":
            await user_visits(begun["verification_uri"], begun["user_code"])
        elif way == "handshake":
            try:
                raise AssertionError(await call("complete_sign_in", sign_in_id=sign_in_id))
            except MCPError as error:
                asked = UrlElicitationRequiredError.from_error(error.error).elicitations[0]
            await opened(None, asked)
        outcome = await call("complete_sign_in", sign_in_id=sign_in_id)
        assert outcome["status"] == "complete", outcome
        print(f"signed in: {outcome['username']}", flush=True)
        verified = await call("verify_token", sign_in_id=sign_in_id)
        assert verified["active"] and verified["sub"] == outcome["user_id"], verified
        await call("check_permission", sign_in_id=sign_in_id, permission="files:read")
        await call("logout", sign_in_id=sign_in_id)
        assert await call("verify_token", sign_in_id=sign_in_id) == {"active": False}
    print("ok")


if __name__ == "__main__":
    way, program, *arguments = sys.argv[1:]
    if program.startswith("http"):
        server = program
    else:
        server = StdioServerParameters(command=program, args=arguments, env=dict(os.environ))
    asyncio.run(main(way, server))
