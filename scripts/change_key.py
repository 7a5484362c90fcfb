"""`python scripts/change_key.py [--stolen] [FILE]`: a new key for what the portal signs; the one before it steps back.

FILE (default deploy/secrets/node_signing_key) is replaced whole, under its own mode: the new private key in front,
after it the public half of the one that was there with its signature over the new one, then those before it. What the
old key signed is still found genuine, and nodes follow to the new key with their next heartbeat. The old private key is
in no file afterwards but your backups. With --stolen the old key vouches for nothing: a thief could do that as well.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.signatures import public_of, succeed


def main() -> int:
    """Exit 1 with one line where the file cannot be read or holds no keys; it is then as it was."""
    parser = argparse.ArgumentParser(description="Put a new signing key in front of the one in use.")
    parser.add_argument("file", nargs="?", type=Path, default=Path("deploy/secrets/node_signing_key"))
    parser.add_argument("--stolen", action="store_true", help="somebody else may have the old key")
    asked = parser.parse_args()
    successor = Ed25519PrivateKey.generate().private_bytes_raw()
    try:
        words = succeed(asked.file.read_text().split() or [""], successor, endorsed=not asked.stolen)
        mode = asked.file.stat().st_mode & 0o777
    except (OSError, ValueError) as error:
        print(f"{asked.file}: {error}", file=sys.stderr)
        return 1
    draft = asked.file.with_name(f"{asked.file.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(words) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(mode)
    draft.replace(asked.file)
    print(f"{asked.file}: the key is now {public_of(successor)}. Start the portal's services anew.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
