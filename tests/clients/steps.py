"""The steps of the stand-ins for models: register, log in with a wrong password, log in."""

NAME = "agent"
PASSWORD = "correct horse battery staple"
STEPS = [
    ("user-auth_register", {"username": NAME, "password": PASSWORD}),
    ("user-auth_login", {"username": NAME, "password": "not the right one"}),
    ("user-auth_login", {"username": NAME, "password": PASSWORD}),
]


def check(answers: list[dict]) -> None:
    """Returns whether the answers to the steps contain what a model needs."""
    registered, refused, tokens = answers
    assert registered["username"] == NAME, registered
    error = refused["error"]
    assert error["code"] == -32001, error
    assert error["data"]["operation"] == "login", error
    assert tokens["token_type"] == "Bearer", tokens
