"""The second factor: a code from the app, or a recovery code. Each counts once, for signing in or for a signature."""

from contextlib import suppress
from typing import Any

from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from common.errors import RuleBroken

MOST_WRONG = 5
WRONG_SECONDS = 600
SPENT = "spent_counter"  # in the authenticator's data: the period of the last code that counted


def is_set_up(user: Any) -> bool:
    """Whether somebody has an app or recovery codes to sign with: one query."""
    return Authenticator.objects.filter(user=user, type__in=("totp", "recovery_codes")).exists()


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
        if plain and one.wrap().validate_code(plain) and spend(one, plain):
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


@transaction.atomic
def spend(one: Authenticator, code: str) -> bool:
    """Whether this right code of an app counts: later than the last that counted, for signing in or for a signature.

    allauth remembers a used code in the cache for one period, and takes it for as many more as its tolerance says;
    what was spent stands in the authenticator's row. A recovery code is crossed out by allauth itself.
    """
    if one.type != Authenticator.Type.TOTP:
        return True
    row = Authenticator.objects.select_for_update(no_key=True).get(pk=one.pk)
    secret, wanted = decrypt(row.data["secret"]), normalize_user_code(code)
    last = row.data.get(SPENT, -1)
    for counter in yield_hotp_counters_from_time():
        if counter > last and format_hotp_value(hotp_value(secret, counter)) == wanted:
            row.data[SPENT] = counter
            row.save(update_fields=["data"])
            return True
    return False
