"""What the browser gets from others is as it was recorded, with its licence beside it."""

import hashlib
import json

from tools.vendor import FILES, TARGET, icon_names

RECORD = json.loads((TARGET / "VENDORED.json").read_text())


def test_every_package_has_version_licence_text_and_the_recorded_bytes() -> None:
    assert {f"{name}@{entry['version']}" for name, entry in RECORD.items()} == set(FILES)
    folders = set()
    for name, entry in RECORD.items():
        home = TARGET / name.replace("@", "").replace("/", "-")
        folders.add(home.name)
        assert entry["licence"]
        assert len((home / "LICENSE").read_text()) > 500, name
        assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in home.iterdir()} == entry["files"]
    assert {path.name for path in TARGET.iterdir() if path.is_dir()} == folders


def test_the_sprite_holds_every_icon_that_a_template_asks_for() -> None:
    sprite = (TARGET / "tabler-icons" / "sprite.svg").read_text()
    assert [name for name in icon_names() if f'id="{name}"' not in sprite] == []
