"""The second factor, asked for once more where somebody signs: a code from the app, or a recovery code."""

from contextlib import suppress

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.utils.translation import gettext as _

from accounts.models import User
from common.errors import RuleBroken

MOST_WRONG = 5
WRONG_SECONDS = 600


def check(*, actor: User, code: str) -> str:
    """Which authenticator the code is of (`totp`, `recovery_codes`); a code counts once.

    RuleBroken (field `code`) without a second factor, for a wrong or used code, and for ten minutes after five of
    them.
    """
    key = f"second-factor-wrong-{actor.pk}"
    if _tries(key) > MOST_WRONG:
        raise RuleBroken(
            _("Too many wrong codes."), code="too_many_codes", remedy=_("Try again in ten minutes."), field="code"
        )
    found = list(Authenticator.objects.filter(user=actor, type__in=("totp", "recovery_codes")).order_by("-type"))
    if not found:
        raise RuleBroken(
            _("Your account has no second factor yet."),
            code="no_second_factor",
            remedy=_("Set it up under “Account”, then come back to this page."),
            field="code",
        )
    plain = code.replace(" ", "").strip()
    for one in found:
        if plain and one.wrap().validate_code(plain) and _is_first_use(one, plain):
            cache.delete(key)
            one.record_usage()
            return str(one.type)
    raise RuleBroken(
        _("This code is wrong, or it was used before."),
        code="wrong_code",
        remedy=_("Wait for the next one of your app, or take a recovery code."),
        field="code",
    )


def _tries(key: str) -> int:
    """How many with this one. Counted before the code is looked at: guesses sent at a time are counted, too."""
    cache.add(key, 0, WRONG_SECONDS)
    with suppress(ValueError):  # the count may run out between the two
        return cache.incr(key)
    return 1


def _is_first_use(one: Authenticator, code: str) -> bool:
    """Whether nobody signed with this code of the app yet. allauth remembers a used one for one period, but takes it
    for as many more as its tolerance says; a recovery code is crossed out for good.
    """
    if one.type != Authenticator.Type.TOTP:
        return True
    digits = "".join(char for char in code if char.isalnum())  # allauth takes "123-456" for "123456"
    periods = 2 * app_settings.TOTP_TOLERANCE + 1
    return cache.add(f"second-factor-used-{one.user_id}-{digits}", 1, periods * app_settings.TOTP_PERIOD)
