"""The text and the metadata of documents that strangers send, read by a process of its own (child.py)."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
SECONDS = 30
"""Of a clock; the child bounds its processor time, its memory and what it writes by itself."""


@dataclass(frozen=True)
class DocumentText:
    """`whole`: everything in it that could be text was read. A scan, a picture or a locked file is never whole."""

    text: str
    whole: bool


def text_of(content: bytes, kind: str) -> DocumentText:
    """What can be read of a document (pdf, docx, xlsx, pptx, hwp, hwpx, png, jpeg). Never raises for what is in it."""
    command = [sys.executable, "-I", str(CHILD), kind]
    try:
        done = subprocess.run(
            command,
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return DocumentText((late.stdout or b"").decode(errors="ignore"), whole=False)
    return DocumentText(done.stdout.decode(errors="ignore"), whole=done.returncode == 0)
