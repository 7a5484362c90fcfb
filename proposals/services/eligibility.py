"""What a call asks of whoever proposes and of how much, as refusals."""

from typing import Any

from django.db import connection
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from common.errors import RuleBroken
from common.quantities import seconds_to_hours
from partners.models import Organisation
from proposals.models import Call, Proposal
from proposals.selectors.eligibility import conditions

COUNT_LOCK = 0x6269_7407
"""Of 32 bits, because the organisation's key is the other half: its submissions are counted one after the other."""


def check_may_propose(call: Call, organisation: Organisation, *, but: Proposal | None = None) -> None:
    """RuleBroken where the organisation does not meet a condition of the call; `but`: the proposal that is handed in.

    Holds the organisation's other submissions back until the transaction ends where their number is bounded.
    """
    if call.most_proposals is not None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [COUNT_LOCK, organisation.pk])
    for condition in conditions(call, organisation, but=but):
        if not condition.met:
            raise RuleBroken(
                _("This call is not open to your organisation. It asks: %(asked)s. Your organisation: %(own)s.")
                % {"asked": condition.asked, "own": condition.own},
                code="not_eligible",
                remedy=condition.remedy,
                facts={"rule": condition.rule, "call": call.public_id, "organisation": organisation.public_id},
            )


def check_size(call: Call, gpu_seconds: int) -> None:
    """RuleBroken where a proposal asks for fewer or more device-seconds in all than the call allows."""
    least, most = call.smallest_gpu_seconds, call.largest_gpu_seconds
    facts: dict[str, Any] = {"asked": str(seconds_to_hours(gpu_seconds))}
    if least is not None and gpu_seconds < least:
        raise RuleBroken(
            _("This call takes proposals from %(least)s GPU-hours on; this one asks for %(asked)s.")
            % {"least": _hours(least), "asked": _hours(gpu_seconds)},
            code="ask_too_small",
            remedy=_("Ask for more, or look for a call for smaller asks."),
            facts=facts | {"rule": "smallest_ask", "least": str(seconds_to_hours(least))},
        )
    if most is not None and gpu_seconds > most:
        raise RuleBroken(
            _("This call takes proposals of at most %(most)s GPU-hours; this one asks for %(asked)s.")
            % {"most": _hours(most), "asked": _hours(gpu_seconds)},
            code="ask_too_large",
            remedy=_("Ask for less."),
            facts=facts | {"rule": "largest_ask", "ceiling": str(seconds_to_hours(most))},
        )


def _hours(seconds: int) -> str:
    return number_format(seconds_to_hours(seconds), 2, force_grouping=True)
