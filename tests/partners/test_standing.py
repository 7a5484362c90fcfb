"""What an organisation may do: asked on a page, through the API, and when somebody signs in."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from partners.models import Agreement
from tests.factories import AllocationFactory, Cast
from tests.factories.accounts import PASSWORD
from tests.proposals.stage import browser
from tests.queries import MOST_A_PAGE, queries_of

pytestmark = pytest.mark.django_db


def test_page_and_api_answer_with_the_reason_and_what_is_left(cast: Cast) -> None:
    allocation = AllocationFactory(project=cast.project, concurrent_gpus=500)
    gpu_class, day = allocation.pool.gpu_class.code, str(timezone.localdate() + timedelta(days=3))
    asked = {"doing": "propose", "first": day, "last": day, "gpus": 13, "gpu_class": gpu_class, "pool": ""}
    viewer = browser(cast.viewer)
    url = reverse("partners:organisation-may", args=[cast.organisation.public_id])
    statements = queries_of(lambda: viewer.get(url, asked))
    assert len(statements) <= MOST_A_PAGE, "\n".join(statements)
    assert "At most 12 GPUs are left." in viewer.get(url, asked).content.decode()
    assert "Yes, the agreement allows it." in viewer.get(url, asked | {"gpus": 12}).content.decode()
    assert viewer.get(url, asked | {"first": "x"}).status_code == 422
    api = APIClient()
    api.force_authenticate(cast.viewer)
    answer = api.post(f"/api/v1/organisations/{cast.organisation.public_id}/may/", asked, format="json").data
    assert (answer["allowed"], answer["code"]) == (False, "ceiling_concurrent_gpus")
    assert answer["facts"]["left"] == 12
    assert answer["agreement"] == cast.agreement.public_id


def test_a_partner_whose_agreement_was_terminated_signs_in_to_read_and_is_told(cast: Cast) -> None:
    def signed_in() -> str:
        client = Client()
        answer = client.post(reverse("account_login"), {"login": cast.viewer.email, "password": PASSWORD}, follow=True)
        assert answer.status_code == 200
        assert client.get(cast.agreement.get_absolute_url()).status_code == 200
        return answer.content.decode()

    assert "You can read everything" not in signed_in()
    Agreement.objects.filter(pk=cast.agreement.pk).update(state="terminated")
    page = signed_in()
    assert "has been terminated. You can read everything" in page
