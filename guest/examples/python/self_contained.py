"""Runs the build of user-auth that imports nothing but WASI.

    USER_AUTH_MASTER_KEY=$(openssl rand -hex 32) \\
        python self_contained.py target/release/user-auth-self-contained.wasm

Its accounts are kept in the memory of the instance, and are lost with it.
"""

import os
import sys
from types import SimpleNamespace as Record

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker, Variant

engine = Engine()
linker = Linker(engine)
linker.add_wasip2()
wasi = WasiConfig()
wasi.env = [("USER_AUTH_MASTER_KEY", os.environ["USER_AUTH_MASTER_KEY"])]
wasi.inherit_stderr()
store = Store(engine)
store.set_wasi(wasi)
instance = linker.instantiate(store, Component.from_file(engine, sys.argv[1]))
auth = instance.get_export_index(store, "user-auth:plugin/auth@0.2.0")


def call(name, *arguments):
    function = instance.get_func(store, instance.get_export_index(store, name, auth))
    result = function(store, *arguments)
    # A result states its case only if the payload is ambiguous.
    return result.payload if getattr(result, "tag", "") in ("ok", "err") else result


password = "correct horse battery staple"
anyone = Record(principal=Variant("anonymous"), source=None)
alice = Record(username="alice", password=password, email=None)
print("registered", call("register", anyone, alice).username)

tokens = call("login", anyone, "alice", password).payload
token = getattr(tokens, "access-token")
print(f"the token is {call('verify-token', anyone, token).username}'s")
holder = Record(principal=Variant("access-token", token), source=None)
may_read = call("check-permission", holder, "billing:read")
print("may read invoices:", "yes" if may_read else "no")
wrong = call("login", anyone, "alice", "open sesame")
print("a wrong password:", wrong.code, wrong.message)
