"""`python -m agent.join --portal URL --join-token-file F --token-file OUT`: a new node fetches its token, once.

The join token is used up by the portal's answer, so the file of the node's own token is made ready before it is asked.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import httpx

TIMEOUT_SECONDS = 10.0


class JoinRefused(Exception):
    """The portal did not let the node in; the message says why in one line."""


def join(portal: str, join_token: str, token_file: Path) -> str:
    """The node's name; its permanent token is in `token_file` (mode 0600). JoinRefused, and the file stays away.

    FileExistsError when the file is there: a node that has a token has joined.
    """
    descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            answer = _ask(portal, join_token)
            file.write(answer["token"] + "\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        token_file.unlink(missing_ok=True)
        raise
    return answer["node"]


def _ask(portal: str, join_token: str) -> dict[str, str]:
    url = f"{portal.rstrip('/')}/api/node/v1/join/"
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            answer = client.post(url, json={"join_token": join_token})
    except httpx.HTTPError as error:
        raise JoinRefused(f"no answer from {url}: {type(error).__name__} {error}") from error
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict) or not answer.is_success:
        said = body.get("title", answer.text[:200]) if isinstance(body, dict) else answer.text[:200]
        raise JoinRefused(f"{answer.status_code} {said}")
    if not isinstance(body.get("token"), str) or not isinstance(body.get("node"), str):
        raise JoinRefused("the portal's answer has no token")
    return {"node": body["node"], "token": body["token"]}


def main(words: list[str] | None = None) -> int:
    """Join as the command line says; 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m agent.join", description="Fetch a new node's token, once.")
    parser.add_argument("--portal", required=True, metavar="URL")
    parser.add_argument("--join-token-file", required=True, type=Path, metavar="F")
    parser.add_argument("--token-file", required=True, type=Path, metavar="OUT")
    given = parser.parse_args(words)
    try:
        name = join(given.portal, given.join_token_file.read_text().strip(), given.token_file)
    except (JoinRefused, OSError) as error:
        sys.stderr.write(f"not joined: {error}\n")
        return 1
    given.join_token_file.unlink(missing_ok=True)
    sys.stdout.write(f"joined as {name}; token in {given.token_file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
