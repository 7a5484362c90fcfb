"""Fetches what the browser needs from its npm packages: `python -m tools.vendor`.

The packages come through the machine's own npm (whichever registry that uses); only the few files that pages load are
copied, each recorded with version, licence and SHA-256 in static/vendor/VENDORED.json. No source maps, no build step.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "static" / "vendor"
FILES = {
    "@tabler/core@1.6.1": ("dist/css/tabler.min.css", "dist/js/tabler.min.js"),
    "echarts@6.1.0": ("dist/echarts.common.min.js", "LICENSE", "NOTICE"),
    "htmx.org@2.0.11": ("dist/htmx.min.js", "LICENSE"),
    "pretendard@1.3.9": ("dist/web/variable/woff2/PretendardVariable.woff2",),
    "@tabler/icons@3.51.0": ("LICENSE",),
}
LICENCES = ROOT / "tools" / "licences"
"""The texts of packages that are published without one; the licences ask that they go along."""
ICON = re.compile(r"""{%\s*icon\s+["']([a-z0-9-]+)["']""")


def unpack(package: str, folder: Path) -> Path:
    """The package's folder after `npm pack`."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    with tarfile.open(folder / packed) as archive:
        archive.extractall(folder / package.replace("/", "_"), filter="data")
    return folder / package.replace("/", "_") / "package"


def icon_names() -> list[str]:
    """Every icon that a template names with {% icon "…" %}."""
    names = {name for path in (ROOT / "templates").rglob("*.html") for name in ICON.findall(path.read_text())}
    return sorted(names)


def sprite(icons: Path) -> str:
    """One SVG file with a <symbol> for each icon used."""
    symbols = []
    for name in icon_names():
        source = (icons / "outline" / f"{name}.svg").read_text()
        inner = re.search(r"<svg[^>]*>(.*)</svg>", source, re.DOTALL)
        assert inner, name
        body = re.sub(r'<path stroke="none"[^>]*/>', "", inner.group(1))
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{" ".join(body.split())}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "\n".join(symbols) + "</svg>\n"


def without_map(path: Path) -> None:
    """Drop the pointer to a source map that is not copied: the static-files storage would look for it."""
    if path.suffix in (".css", ".js"):
        text = path.read_text()
        path.write_text(re.sub(r"/[/*]# sourceMappingURL=\S+( \*/)?", "", text))


def main() -> None:
    """Make static/vendor anew."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    record = {}
    with tempfile.TemporaryDirectory() as name:
        for package, files in FILES.items():
            source = unpack(package, Path(name))
            described = json.loads((source / "package.json").read_text())
            home = TARGET / described["name"].replace("@", "").replace("/", "-")
            home.mkdir()
            for file in files:
                shutil.copyfile(source / file, home / Path(file).name)
                without_map(home / Path(file).name)
            if (LICENCES / home.name).is_file():
                shutil.copyfile(LICENCES / home.name, home / "LICENSE")
            if described["name"] == "@tabler/icons":
                (home / "sprite.svg").write_text(sprite(source / "icons"))
            record[described["name"]] = {
                "version": described["version"],
                "licence": described["license"],
                "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(home.iterdir())},
            }
    (TARGET / "VENDORED.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
