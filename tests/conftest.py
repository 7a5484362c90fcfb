"""Fixtures for every test, and what makes all of them quick. The servers come from tests/bootstrap.py."""

import fcntl
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from threading import local

import pytest
from django.core.cache import cache
from django.db import connection
from django.template import Context, Template
from django.test.signals import template_rendered
from django.test.utils import override_settings
from django.utils import translation
from pytest_django import DjangoDbBlocker

LONG_SECONDS = 400
"""Who is given so much time takes much of it."""
TEMPLATE = "tests_migrated"
rendering = local()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin first: begun last, one of them would keep a single core busy while the others wait."""

    def given_seconds(item: pytest.Item) -> float:
        marker = item.get_closest_marker("timeout")
        return float(marker.args[0]) if marker and marker.args else 0.0

    items.sort(key=lambda item: given_seconds(item) < LONG_SECONDS)


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> None:
    """The migrations run once: what the first worker has made the others copy."""
    if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") == "1" or os.environ.get("BITGOEUL_TEST_USE_ENV") == "1":
        request.getfixturevalue("django_db_setup")
        return
    made = Path(os.environ["MEDIA_ROOT"]).with_name("migrated")
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            connection.settings_dict["TEST"]["TEMPLATE"] = TEMPLATE
        request.getfixturevalue("django_db_setup")
        if not made.exists():
            with django_db_blocker.unblock():
                _keep_as_template()
            made.touch()


def _keep_as_template() -> None:
    name = connection.settings_dict["NAME"]
    connection.close()  # a database that somebody uses is not copied
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE {TEMPLATE} TEMPLATE "{name}"')


def _render_and_tell(template: Template, context: Context) -> str:
    """As Django's `instrumented_test_render`, but only of the outermost template: that is what `response.context` is
    asked for, and a page renders a hundred more, each of whose contexts the client would copy."""
    if getattr(rendering, "inside", False):
        return template.nodelist.render(context)
    rendering.inside = True
    try:
        template_rendered.send(sender=template, template=template, context=context)
        return template.nodelist.render(context)
    finally:
        rendering.inside = False


@pytest.fixture(scope="session", autouse=True)
def _quick_pages_and_passwords(django_test_environment: None) -> Iterator[None]:
    """Passwords are hashed in no time; the real hash is what the demo's processes use, whose people tests/e2e are."""
    instrumented, Template._render = Template._render, _render_and_tell
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield
    Template._render = instrumented


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Rate limits and locks of one test do not reach the next."""
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _no_language_is_left() -> Iterator[None]:
    """The language of the last request stays active in its thread; the next test begins with the site's own."""
    translation.deactivate()
    yield
    translation.deactivate()
