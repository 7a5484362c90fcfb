"""The forms and the error messages of a page, read as a browser reads them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Input:
    """A field of a form. `kind` is its type, or select or textarea; `values` are those that may be chosen."""

    name: str
    kind: str
    value: str = ""
    checked: bool = False
    values: list[str] = field(default_factory=list)


@dataclass
class Form:
    """A form inside <main>."""

    method: str
    action: str
    inputs: list[Input] = field(default_factory=list)
    buttons: list[Input] = field(default_factory=list)

    def filled(self) -> dict[str, list[str]]:
        """What a browser would send if nothing was typed, without a button."""
        sent: dict[str, list[str]] = {}
        for entry in self.inputs:
            if entry.kind == "file" or (entry.kind in ("checkbox", "radio") and not entry.checked):
                continue
            sent.setdefault(entry.name, []).append(entry.value)
        return sent


class Reading(HTMLParser):
    """`forms` of the main part and `errors`: the texts of alerts and of what stands under a wrong field."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.errors: list[str] = []
        self._main = False
        self._form: Form | None = None
        self._area: Input | None = None
        self._select: Input | None = None
        self._error_depth = 0
        begins, ends = text.find("<main"), text.rfind("</main>")
        self.feed(text[begins:ends] if 0 <= begins < ends else text)  # the head and the menu are most of many pages
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._main = self._main or tag == "main"
        if self._error_depth:
            self._error_depth += tag not in VOID
        elif self._main and ("invalid-feedback" in given.get("class", "") or "alert-danger" in given.get("class", "")):
            self._error_depth = 1
            self.errors.append("")
        if tag == "form" and self._main:
            self._form = Form(given.get("method", "get").lower(), given.get("action", ""))
            self.forms.append(self._form)
        elif self._form is not None:
            self._control(self._form, tag, given)

    def _control(self, form: Form, tag: str, given: dict[str, str]) -> None:
        name = given.get("name", "")
        if tag == "input" and name:
            kind = given.get("type", "text")
            entry = Input(name, kind, given.get("value", "on" if kind == "checkbox" else ""), "checked" in given)
            (form.buttons if kind == "submit" else form.inputs).append(entry)
        elif tag == "button" and name:
            form.buttons.append(Input(name, "submit", given.get("value", "")))
        elif tag == "textarea" and name:
            self._area = Input(name, "textarea")
            form.inputs.append(self._area)
        elif tag == "select" and name:
            self._select = Input(name, "select")
            form.inputs.append(self._select)
        elif tag == "option" and self._select is not None:
            value = given.get("value", "")
            if "selected" in given or not self._select.values:
                self._select.value = value
            self._select.values.append(value)

    def handle_endtag(self, tag: str) -> None:
        if self._error_depth and tag not in VOID:
            self._error_depth -= 1
        if tag == "main":
            self._main = False
        elif tag == "form":
            self._form = None
        elif tag == "textarea" and self._area is not None:
            self._area.value = self._area.value.removeprefix("\n")
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._error_depth:
            self.errors[-1] = f"{self.errors[-1]} {data.strip()}".strip()
        if self._area is not None:
            self._area.value += data
