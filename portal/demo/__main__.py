"""`python -m portal.demo [run | reset | otp EMAIL]`."""

import argparse
import os
import sys
import time

from portal.demo.folder import reset
from portal.demo.options import DemoOptions, read_options
from portal.demo.otp import PERIOD_SECONDS, current_code
from portal.demo.readiness import read_accounts
from portal.demo.runner import run
from portal.embedded import EmbeddedError


def print_code(options: DemoOptions, email: str) -> None:
    """The current TOTP code of a demo account."""
    accounts = read_accounts(options.folder)
    secret = next((account.get("totp_secret") for account in accounts if account.get("email") == email), None)
    if not secret:
        known = ", ".join(str(account["email"]) for account in accounts if account.get("totp_secret"))
        raise EmbeddedError(
            f"no TOTP account {email!r} in {options.folder}/accounts.json; there are: {known or 'none'}"
        )
    now = time.time()
    print(f"{current_code(str(secret), at=now)}  (for another {PERIOD_SECONDS - int(now) % PERIOD_SECONDS} s)")


def main() -> int:
    """Exit codes: 0 done or stopped by a signal, 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m portal.demo", description=__doc__)
    parser.add_argument("command", nargs="?", default="run", choices=["run", "reset", "otp"])
    parser.add_argument("email", nargs="?", default="")
    arguments = parser.parse_args()
    try:
        options = read_options(os.environ)
        if arguments.command == "otp":
            print_code(options, arguments.email)
        elif arguments.command == "reset":
            print(f"{options.folder} is " + ("forgotten" if reset(options.folder) else "empty already"))
            if os.environ.get("DATABASE_URL"):
                print("DATABASE_URL is set: that database is yours and was left alone")
        else:
            run(options)
    except EmbeddedError as error:
        print(f"bitgoeul: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
