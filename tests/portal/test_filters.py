"""What every list offers to filter by."""

import re

import pytest
from django.test import Client

from tests.factories import make_cast

pytestmark = pytest.mark.django_db
LISTS = ("/agreements/", "/proposals/", "/allocations/", "/leases/", "/staff/nodes/", "/staff/proposals/", "/calls/")


@pytest.mark.parametrize("address", LISTS)
def test_choices_are_in_the_readers_language_and_every_label_has_its_field(address: str) -> None:
    cast = make_cast()
    cast.officer.language = "ko"
    cast.officer.save()
    client = Client()
    client.force_login(cast.officer)
    page = client.get(address).content.decode()
    search = page[page.index('role="search"') : page.index("</form>", page.index('role="search"'))]
    assert not re.search(r"<option[^>]*>[^<]*[A-Za-z-]{4,}", search), search
    for name in re.findall(r'<label[^>]* for="([^"]+)"', search):
        field = re.search(rf'<(?:input|select)[^>]*id="{name}"[^>]*>', search)
        assert field and 'type="hidden"' not in field[0]
    assert "multiple" not in search


def test_a_list_narrowed_by_a_link_stays_narrowed_when_filtered_further() -> None:
    cast = make_cast()
    client = Client()
    client.force_login(cast.officer)
    address = f"/agreements/?organisation={cast.agreement.organisation.public_id}"
    page = client.get(address).content.decode()
    assert f'value="{cast.agreement.organisation.public_id}"' in page
    assert cast.agreement.number in page
