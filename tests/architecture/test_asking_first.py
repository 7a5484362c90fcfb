"""What cannot be undone is asked about first, on every page, without JavaScript."""

import re

from tests.architecture.tree import ROOT

TAKES_AWAY = re.compile(r'<form[^>]*action="\{% url "[\w:-]*(?:remove|revoke|withdraw|discard|proposal-accept)"')


def test_no_button_takes_something_away_at_the_first_click() -> None:
    direct = [str(path) for path in sorted((ROOT / "templates").rglob("*.html")) if TAKES_AWAY.search(path.read_text())]
    # Attachments stand inside the form of the page: the form that removes one has no button of its own.
    assert direct == [str(ROOT / "templates/proposals/editor/_remove.html")]
