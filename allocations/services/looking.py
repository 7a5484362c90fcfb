"""What would refuse a booking, asked before it is made: the checks of the verb itself, which change nothing."""

from fractions import Fraction

from allocations.charging import WHOLE
from allocations.rulebook import Rulebook
from allocations.selectors.weights import weights_of
from allocations.services import checks
from allocations.services.rule_checks import Wanted, check_booking, check_length
from allocations.services.yearly import year_allows
from common.errors import DomainError


def refusal(book: Rulebook, wanted: Wanted, share: Fraction = WHOLE) -> str:
    """What a rule, the award or the agreement says against a window, in words; "" where all of it passes.

    Whether devices are free is another question. Some seven queries, whatever is booked.
    """
    allocation, count, window = wanted.allocation, wanted.count, (wanted.starts_at, wanted.ends_at)
    try:
        check_length(book, allocation, *window)
        checks.allocation_covers(allocation, *window)
        check_booking(book, wanted)
        checks.concurrency(allocation, count, *window, book=book, share=share)
        weights = weights_of(allocation)
        checks.balance_suffices(allocation, count, *window, weights=weights, share=share)
        year_allows(allocation, count, *window, weights=weights, share=share)
    except DomainError as error:
        return str(error)
    return ""
