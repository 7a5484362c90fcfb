"""Projects and their teams."""

import pytest
from django.urls import reverse

from common.errors import Forbidden, RuleBroken
from projects import services
from projects.models import Project
from tests.factories import Cast, ProjectFactory, make_cast
from tests.proposals.stage import browser
from tests.queries import MOST_A_PAGE, queries_of


@pytest.fixture
def cast(db: None) -> Cast:
    """The whole cast."""
    return make_cast()


def test_the_team_comes_from_the_organisation(cast: Cast) -> None:
    assert services.add_team_member(actor=cast.owner, project=cast.project, user=cast.manager).user == cast.manager
    for user, code in (
        (cast.outsider, "not_a_member"),
        (cast.viewer, "viewer_in_team"),
        (cast.manager, "already_in_team"),
    ):
        with pytest.raises(RuleBroken) as caught:
            services.add_team_member(actor=cast.owner, project=cast.project, user=user)
        assert caught.value.code == code


def test_members_leave_by_themselves_and_the_lead_stays(cast: Cast) -> None:
    for who in (cast.viewer, cast.outsider, cast.operator):
        with pytest.raises(Forbidden):
            services.remove_team_member(actor=who, project=cast.project, user=cast.teammate)
    services.remove_team_member(actor=cast.teammate, project=cast.project, user=cast.teammate)
    with pytest.raises(RuleBroken) as caught:
        services.remove_team_member(actor=cast.owner, project=cast.project, user=cast.owner)
    assert caught.value.code == "last_lead"


def test_the_page_shows_team_and_origin_and_outsiders_find_nothing(cast: Cast) -> None:
    url = cast.project.get_absolute_url()
    page = browser(cast.viewer).get(url).content.decode()
    for words in (cast.project.title, cast.teammate.email, cast.agreement.number, f"?project={cast.project.public_id}"):
        assert words in page
    add = reverse("projects:team-add", args=[cast.project.public_id])
    assert browser(cast.viewer).get(add).status_code == 403
    for who in (cast.outsider, cast.reviewer):
        for address in (url, add):
            assert browser(who).get(address).status_code == 404


def test_the_form_adds_and_the_button_removes(cast: Cast) -> None:
    client = browser(cast.owner)
    add = reverse("projects:team-add", args=[cast.project.public_id])
    row = cast.organisation.memberships.get(user=cast.manager)
    foreign = cast.outsider.memberships.get()
    for wrong in ("", "abc", "0", str(foreign.pk)):
        assert client.post(add, {"member": wrong}).status_code == 422
    assert client.post(add, {"member": row.pk}).url == cast.project.get_absolute_url()
    remove = reverse("projects:team-remove", args=[cast.project.public_id, cast.manager.public_id])
    assert client.post(remove).status_code == 302
    assert client.post(remove).status_code == 404


def test_pages_cost_the_same_with_one_row_and_with_fifty(cast: Cast) -> None:
    client, address = browser(cast.officer), reverse("projects:projects")
    before = len(queries_of(lambda: client.get(address)))
    ProjectFactory.create_batch(49, agreement=cast.agreement)
    statements = queries_of(lambda: client.get(address))
    assert len(statements) == before <= MOST_A_PAGE, "\n".join(statements)
    project = Project.objects.get(pk=cast.project.pk)
    for who in (cast.officer, cast.teammate):
        own = browser(who)
        assert len(queries_of(lambda c=own: c.get(project.get_absolute_url()))) <= MOST_A_PAGE
