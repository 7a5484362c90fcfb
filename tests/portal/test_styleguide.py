"""The style guide shows every part that pages are made of, to the agency."""

import pytest
from django.test import Client

from allocations.lifecycle import LEASE
from cluster.lifecycle import DEVICE
from tests.factories import make_cast

pytestmark = pytest.mark.django_db


def test_it_shows_every_state_and_a_form_with_and_without_errors() -> None:
    client = Client()
    client.force_login(make_cast().officer)
    page = client.get("/staff/styleguide/", headers={"accept-language": "en"}).content.decode()
    for state in (*LEASE.states, *DEVICE.states):
        assert f'data-state="{state}"' in page
    assert "is-invalid" in page and "Enter a valid date" in page
    assert "style=" not in page, "the content security policy forbids inline style"


def test_partners_do_not_learn_that_it_is_there() -> None:
    client = Client()
    client.force_login(make_cast().owner)
    assert client.get("/staff/styleguide/").status_code == 404
